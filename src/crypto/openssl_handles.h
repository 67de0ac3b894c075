// Owners of OpenSSL's objects; not for other rooms.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/status.h"

namespace latchkey {

template <auto kFree>
struct OpenSslFree {
  template <typename T>
  void operator()(T* p) const {
    kFree(p);
  }
};
template <typename T, auto kFree>
using OpenSslPtr = std::unique_ptr<T, OpenSslFree<kFree>>;

using CipherContext = OpenSslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;
using PkeyContext = OpenSslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using KdfContext = OpenSslPtr<EVP_KDF_CTX, EVP_KDF_CTX_free>;
using Pkey = OpenSslPtr<EVP_PKEY, EVP_PKEY_free>;
using Bio = OpenSslPtr<BIO, BIO_free_all>;
using Certificate = OpenSslPtr<X509, X509_free>;
using CertificateRequest = OpenSslPtr<X509_REQ, X509_REQ_free>;

// A failure of OpenSSL that input cannot cause (no memory in the arena, a missing algorithm). Clears OpenSSL's queue of errors, so that an
// old entry is not taken for the reason of a later fault.
inline absl::Status OpenSslFault(std::string_view what) {
  ERR_clear_error();
  return Internal("OpenSSL: ", ToAbsl(what), " failed");
}

}  // namespace latchkey
