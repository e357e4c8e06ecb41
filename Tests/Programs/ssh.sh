# shellcheck shell=bash
# OpenSSH, and rsync and git over it. Sourced by ./run.

# ssh_server: an sshd of our own; sets `sshd_port`, writes $work/ssh_config.
ssh_server() {
    needs sshd ssh ssh-keygen
    local directory=$work/ssh sshd
    sshd=$(command -v sshd)
    mkdir -p "$directory"
    chmod 700 "$directory"
    ssh-keygen -q -t ed25519 -N '' -f "$directory/host_key"
    ssh-keygen -q -t ed25519 -N '' -f "$directory/user_key"
    cp "$directory/user_key.pub" "$directory/authorized_keys"
    free_ports 1
    sshd_port=${ports[0]}
    cat >"$directory/sshd_config" <<END
ListenAddress 127.0.0.1
Port $sshd_port
HostKey $directory/host_key
PidFile none
AuthorizedKeysFile $directory/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PrintMotd no
Subsystem sftp internal-sftp
END
    # What sshd separates its privileges into, where it runs as root.
    [[ $(id -u) != 0 ]] || mkdir -p /run/sshd
    start sshd "$sshd" -D -e -f "$directory/sshd_config"
    await_port tcp "$sshd_port" sshd
    echo "[127.0.0.1]:$sshd_port $(cut -d ' ' -f 1,2 "$directory/host_key.pub")" >"$directory/known_hosts"
    cat >"$work/ssh_config" <<END
Host *
    User $(id -un)
    IdentityFile $directory/user_key
    IdentitiesOnly yes
    UserKnownHostsFile $directory/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
    ConnectTimeout $((30 * slowness))
    HostKeyAlias [127.0.0.1]:$sshd_port
END
}

# through_pipe: ssh's connections go through `godwit pipe`.
through_pipe() {
    printf '    ProxyCommand %q pipe %%h %%p\n' "$GODWIT" >>"$work/ssh_config"
    ssh_port=$sshd_port
}

ssh_to() {
    ssh -F "$work/ssh_config" -p "$ssh_port" 127.0.0.1 "$@"
}

# What every way for ssh must do: a command, its exit code, bytes in both directions, scp.
use_ssh() {
    local code=0
    expect_equal "hello" "$(ssh_to echo hello 2>"$work/ssh.out")" "what a command printed"
    ssh_to exit 7 2>"$work/ssh.out" || code=$?
    expect_equal 7 "$code" "exit code of a command"
    head -c 20000000 /dev/urandom >"$work/random"
    expect_equal "$(sha256 "$work/random")" "$(ssh_to sha256sum <"$work/random" | cut -d ' ' -f 1)" "SHA-256 going up"
    ssh_to cat "$work/random" >"$work/copy" 2>"$work/ssh.out"
    expect_equal "$(sha256 "$work/random")" "$(sha256 "$work/copy")" "SHA-256 coming down"
    scp -q -F "$work/ssh_config" -P "$ssh_port" "$work/random" "127.0.0.1:$work/scp" 2>"$work/ssh.out" ||
        fail "scp: $(last_line "$work/ssh.out")"
    cmp "$work/random" "$work/scp" || fail "scp made something else of the file"
}

# pipe finds the running local endpoint by its control socket.
ssh_pipe() {
    tunnel
    ssh_server
    through_pipe
    use_ssh
}

# Without one, pipe makes a connection of its own.
ssh_pipe_alone() {
    tunnel
    stop endpoint
    ssh_server
    through_pipe
    export GODWIT_INVITE=$nat_invite
    use_ssh
}

ssh_forward() {
    tunnel
    ssh_server
    free_ports 1
    ssh_port=${ports[0]}
    start_endpoint ssh-endpoint "$ssh_port" "$nat_invite" -L "$ssh_port:127.0.0.1:$sshd_port"
    use_ssh
}

# A session with a shell goes on while the port changes under it.
ssh_session_while_rebinding() {
    local number
    tunnel
    ssh_server
    through_pipe
    # Lines go up and come back, one by one, with a change of the port before each.
    coproc SESSION { ssh_to cat 2>"$work/ssh.out"; }
    for number in 1 2 3 4 5; do
        kill -s USR1 "${started[nat]}"
        echo "line $number" >&"${SESSION[1]}"
        read -r -t $((20 * slowness)) -u "${SESSION[0]}" line || fail "line $number did not come back"
        expect_equal "line $number" "$line" "what came back"
    done
    eval "exec ${SESSION[1]}>&-"
    # shellcheck disable=SC2154 # coproc sets it.
    wait "$SESSION_PID" || fail "ssh: $(last_line "$work/ssh.out")"
    expect_rebindings 5
}

rsync_over_ssh() {
    local number
    needs rsync
    tunnel
    ssh_server
    through_pipe
    mkdir -p "$work/tree/deep"
    for number in $(seq 150); do head -c $((number * 517)) /dev/urandom >"$work/tree/deep/$number"; done
    head -c 20000000 /dev/urandom >"$work/tree/large"
    RSYNC_RSH="ssh -F $work/ssh_config -p $ssh_port"
    export RSYNC_RSH
    rsync -a "$work/tree/" "127.0.0.1:$work/up/" >"$work/rsync.out" 2>&1 || fail "rsync: $(last_line "$work/rsync.out")"
    diff -r "$work/tree" "$work/up" >"$work/diff.out" || fail "rsync up: $(last_line "$work/diff.out")"
    # A second run finds little to do, and back again.
    echo more >>"$work/up/large"
    rm "$work/up/deep/1"
    rsync -a --delete "127.0.0.1:$work/up/" "$work/tree/" >"$work/rsync.out" 2>&1 ||
        fail "rsync: $(last_line "$work/rsync.out")"
    diff -r "$work/tree" "$work/up" >"$work/diff.out" || fail "rsync down: $(last_line "$work/diff.out")"
}

git_over_ssh() {
    local number
    needs git
    tunnel
    ssh_server
    through_pipe
    export GIT_SSH_COMMAND="ssh -F $work/ssh_config -p $ssh_port" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
    export GIT_AUTHOR_NAME=tester GIT_AUTHOR_EMAIL=t@localhost GIT_COMMITTER_NAME=tester GIT_COMMITTER_EMAIL=t@localhost
    git init -q -b main "$work/source"
    for number in 1 2 3 4 5; do
        head -c 1000000 /dev/urandom >"$work/source/file.$number"
        git -C "$work/source" add .
        git -C "$work/source" commit -q -m "commit $number"
    done
    git clone -q --bare "$work/source" "$work/bare.git"
    git clone -q "ssh://127.0.0.1$work/bare.git" "$work/clone" 2>"$work/git.out" ||
        fail "clone: $(last_line "$work/git.out")"
    git -C "$work/clone" fsck --strict >"$work/git.out" 2>&1 || fail "fsck: $(last_line "$work/git.out")"
    expect_equal "$(git -C "$work/source" rev-parse HEAD)" "$(git -C "$work/clone" rev-parse HEAD)" "HEAD of the clone"
    head -c 3000000 /dev/urandom >"$work/clone/new"
    git -C "$work/clone" add .
    git -C "$work/clone" commit -q -m new
    git -C "$work/clone" push -q origin main 2>"$work/git.out" || fail "push: $(last_line "$work/git.out")"
    expect_equal "$(git -C "$work/clone" rev-parse HEAD)" "$(git -C "$work/bare.git" rev-parse main)" "what was pushed"
}

# Latency is shown, not judged: a busy machine is no fault.
interactive_echo() {
    local direct
    tunnel
    tcp 127.0.0.1 "$echo_port" echo 300
    direct=$said
    tcp 127.0.0.1 "$echo_forward" echo 300
    [[ $said == median* ]] || fail "$said"
    echo "$said; without a tunnel: $direct" >"$work/remark"
}

add_case 120 interactive_echo "interactive echo"
add_case 180 ssh_pipe "ssh and scp with ProxyCommand godwit pipe"
add_case 180 ssh_pipe_alone "ssh and scp with godwit pipe alone"
add_case 180 ssh_forward "ssh and scp with -L"
add_case 120 ssh_session_while_rebinding "ssh session while the port changes"
add_case 180 rsync_over_ssh "rsync over ssh"
add_case 180 git_over_ssh "git clone and push over ssh"
