#include "http/tls.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/buffer.hpp>

#include "base/status.h"

namespace latchkey {
namespace {

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using UniqueBio = std::unique_ptr<BIO, BioFree>;

// Trusts every certificate of the PEM text for clients and names it in the list that clients choose by; false when there is none.
bool AddClientCas(SSL_CTX* context, const std::string& pem) {
  const UniqueBio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  int count = 0;
  while (X509* ca = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), ca);
    SSL_CTX_add_client_CA(context, ca);
    X509_free(ca);
    ++count;
  }
  ERR_clear_error();
  return count > 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<boost::asio::ssl::context>> NewServerTls(const HttpServerOptions& options) {
  namespace asio = boost::asio;
  namespace ssl = boost::asio::ssl;
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  boost::system::error_code error;
  context->use_certificate_chain(asio::buffer(options.certificate_pem), error);
  if (error) return InvalidArgument("certificate_pem: is not a certificate chain in PEM");
  context->use_private_key(asio::buffer(options.private_key_pem), ssl::context::pem, error);
  if (error || SSL_CTX_check_private_key(native) != 1) {
    ERR_clear_error();
    return InvalidArgument("private_key_pem: is not the certificate's private key in PEM");
  }
  if (options.client_ca_pem.empty()) {
    if (options.require_client_certificate) return InvalidArgument("client_ca_pem: is missing, and client certificates are required");
    return context;
  }
  if (!AddClientCas(native, options.client_ca_pem)) return InvalidArgument("client_ca_pem: holds no certificate in PEM");
  // Every connection shows its certificate: nothing is resumed from an earlier one.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(native, 0);
  ssl::verify_mode mode = ssl::verify_peer;
  if (options.require_client_certificate) mode |= ssl::verify_fail_if_no_peer_cert;
  context->set_verify_mode(mode, error);
  return context;
}

std::string VerifiedPeerCertificate(SSL* ssl) {
  std::string pem;
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl), X509_free);
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return pem;
  const UniqueBio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate.get()) != 1) return pem;
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  pem.assign(text, static_cast<size_t>(size));
  return pem;
}

}  // namespace latchkey
