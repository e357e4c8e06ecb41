# Functions that the scripts of this folder share; sourced, not run.
# shellcheck shell=bash

say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s\n' "$*"; }
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Runs a command as root: directly, or through sudo without a question.
as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    else
        command -v sudo >/dev/null || die "needs root for: $* — run it as root, or install sudo"
        sudo -n "$@" || die "sudo refused: $* — run it yourself as root, then start again"
    fi
}

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

# Installs Debian packages that are missing; without apt it says which they are.
need_packages() {
    local missing=() package
    command -v apt-get >/dev/null || die "no apt-get here; install what these Debian packages contain, then start again: $*"
    for package in "$@"; do is_installed "$package" || missing+=("$package"); done
    [[ ${#missing[@]} -eq 0 ]] && return
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "${missing[@]}" >/dev/null ||
        die "apt-get could not install ${missing[*]}; see its message above"
}

# The libraries that godwit links with, and the one that it opens where there is one: it halves the cost of AES-GCM.
need_libraries() {
    need_packages libssl-dev libevent-dev
    [[ $(uname -m) != x86_64 ]] || need_packages libipsec-mb-dev
}

need_swift() {
    command -v swift >/dev/null || die "swift is not in PATH; install Swift 6.3 from https://www.swift.org/install/linux/"
    swift --version 2>&1 | grep -qE 'Swift version (6\.([3-9]|[1-9][0-9])|[7-9])' ||
        die "Swift 6.3 or later is needed, this is: $(swift --version 2>&1 | head -n 1)"
}

# Builds the program that people run, with Swift's runtime inside: it takes less memory so, and runs where no Swift is.
build_release_program() { swift build -c release --static-swift-stdlib --product godwit; }

# Prints the path of the release program, which must have been built.
release_program() { printf '%s/godwit\n' "$(swift build -c release --show-bin-path)"; }
