#include "COpenSSL.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

int godwit_no_password(char *buffer, int size, int writing, void *context) {
    (void)buffer;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

EVP_PKEY *godwit_generate_key(const char *type, const char *group, size_t bits) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM parameters[2];
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (context == NULL || EVP_PKEY_keygen_init(context) != 1) goto done;
    parameters[0] = parameters[1] = OSSL_PARAM_construct_end();
    if (group != NULL)
        parameters[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)group, 0);
    else if (bits != 0)
        parameters[0] = OSSL_PARAM_construct_size_t(OSSL_PKEY_PARAM_RSA_BITS, &bits);
    if ((group != NULL || bits != 0) && EVP_PKEY_CTX_set_params(context, parameters) != 1) goto done;
    if (EVP_PKEY_generate(context, &key) != 1) key = NULL;
done:
    EVP_PKEY_CTX_free(context);
    return key;
}

static int push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value) {
    GENERAL_NAME *name = value == NULL ? NULL : GENERAL_NAME_new();
    if (name == NULL) {
        ASN1_STRING_free(value);
        return 0;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0) return 1;
    GENERAL_NAME_free(name);
    return 0;
}

int godwit_general_names_add_dns(GENERAL_NAMES *names, const char *name, int length) {
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    if (value == NULL || ASN1_STRING_set(value, name, length) != 1) {
        ASN1_IA5STRING_free(value);
        return 0;
    }
    return push_name(names, GEN_DNS, value);
}

int godwit_general_names_add_ip(GENERAL_NAMES *names, const char *address) {
    return push_name(names, GEN_IPADD, a2i_IPADDRESS(address));
}

int godwit_x509_add_extension(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (extension == NULL) return 0;
    int added = X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

size_t godwit_ssl_shared_secret(SSL *ssl, uint8_t *secret, size_t capacity) {
    EVP_PKEY *own = NULL, *peer = NULL;
    EVP_PKEY_CTX *context = NULL;
    size_t count = capacity;
    if (SSL_get_tmp_key(ssl, &own) != 1 || SSL_get_peer_tmp_key(ssl, &peer) != 1) {
        count = 0;
    } else {
        context = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
        if (context == NULL || EVP_PKEY_derive_init(context) != 1 || EVP_PKEY_derive_set_peer(context, peer) != 1 ||
            EVP_PKEY_derive(context, secret, &count) != 1)
            count = 0;
    }
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    return count;
}
