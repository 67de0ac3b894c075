// KMS doubles for the tests of this room and of those above it: an honest one in memory, and some named by their vice.
//
// All of them share one deterministic "hardware" key per URI: what one wraps, another could unwrap, so that a record minted honestly can be
// shown to a KMS with a vice. None of this protects anything.
#pragma once

#include <absl/strings/str_cat.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "keys/kek.h"
#include "kms/kms.h"

namespace latchkey {

// Repeats itself: counts up from a seed, through SHA-256. Thread-safe.
class FakeRandom : public Random {
 public:
  explicit FakeRandom(std::string seed = "latchkey") : seed_(std::move(seed)) {}
  void Fill(std::span<uint8_t> out) override {
    const std::lock_guard lock(mutex_);
    for (size_t at = 0; at < out.size();) {
      for (const uint8_t b : Sha256(std::string_view(absl::StrCat(seed_, "/", count_++)))) {
        if (at < out.size()) out[at++] = b;
      }
    }
  }

 private:
  std::mutex mutex_;
  std::string seed_;
  uint64_t count_ = 0;
};

// Every byte is the same: the ends of every jitter.
class ConstantRandom : public Random {
 public:
  explicit ConstantRandom(uint8_t byte) : byte_(byte) {}
  void Fill(std::span<uint8_t> out) override { std::fill(out.begin(), out.end(), byte_); }

 private:
  uint8_t byte_;
};

// Honest. Binds the context, tells key versions, and does what a test orders: a URI can be put into a class of failure, and calls can be
// watched. Thread-safe.
class FakeKms : public Kms {
 public:
  explicit FakeKms(std::string type = "AWS_KMS") : type_(std::move(type)) {}

  // From now on every call on this URI fails with that class; nullopt heals it.
  void Fail(const std::string& uri, std::optional<FailureClass> c) {
    const std::lock_guard lock(mutex_);
    if (c) {
      failing_[uri] = *c;
    } else {
      failing_.erase(uri);
    }
  }
  // Called inside every Wrap and Unwrap, before its answer is made: moves a clock, breaks the key in between, ….
  void OnCall(std::function<void()> hook) {
    const std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
  }
  // Of each Wrap, Unwrap and Describe so far, in order: whether it was asked for on a fresh connection.
  std::vector<bool> fresh_calls() const {
    const std::lock_guard lock(mutex_);
    return fresh_calls_;
  }
  size_t calls() const { return fresh_calls().size(); }

  std::string_view type() const override { return type_; }
  absl::Status Check(const RootKey& key) const override {
    return key.uri.empty() ? KmsError(FailureClass::kUnsuitable, "uri: must not be empty") : absl::OkStatus();
  }
  absl::StatusOr<KeyDescription> Describe(const RootKey& key, const KmsCall& call) override {
    RETURN_IF_ERROR(Begin(key, call));
    KeyDescription description;
    description.resolved_uri = key.uri;
    description.state = "Enabled";
    description.usable = true;
    description.key_version = "1";
    return description;
  }
  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    RETURN_IF_ERROR(Begin(key, call));
    std::vector<uint8_t> out = Random::System().Bytes(kGcmNonceSize);
    ASSIGN_OR_RETURN(const std::vector<uint8_t> sealed, GcmSeal(MasterOf(key), out, Canonical(context), plaintext.Reveal(SecretAccess{})));
    out.insert(out.end(), sealed.begin(), sealed.end());
    return KmsWrapped{.ciphertext = std::move(out), .key_version = "1"};
  }
  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    RETURN_IF_ERROR(Begin(key, call));
    const std::vector<uint8_t>& ciphertext = wrapped.ciphertext;
    if (ciphertext.size() < kGcmNonceSize + kGcmTagSize) return KmsError(FailureClass::kCorrupt, "InvalidCiphertextException");
    const std::span<const uint8_t> bytes(ciphertext);
    auto plaintext = GcmOpen(MasterOf(key), bytes.first(kGcmNonceSize), Canonical(context), bytes.subspan(kGcmNonceSize));
    if (!plaintext.ok()) return KmsError(FailureClass::kCorrupt, "InvalidCiphertextException");
    return plaintext;
  }

 private:
  static SecretBytes MasterOf(const RootKey& key) {
    return SecretBytes::CopyOf(std::span<const uint8_t>(Sha256(std::string_view("fake kms\n" + key.uri))));
  }
  static std::string Canonical(const KmsContext& context) {
    std::string out;
    for (const auto& [name, value] : context) absl::StrAppend(&out, name.size(), ":", name, value.size(), ":", value);
    return out;
  }
  absl::Status Begin(const RootKey& key, const KmsCall& call) {
    std::function<void()> hook;
    {
      const std::lock_guard lock(mutex_);
      fresh_calls_.push_back(call.fresh);
      hook = hook_;
    }
    if (hook) hook();
    const std::lock_guard lock(mutex_);
    const auto it = failing_.find(key.uri);
    if (it == failing_.end()) return absl::OkStatus();
    return KmsError(it->second, absl::StrCat("fake KMS: ", ToAbsl(FailureClassName(it->second))));
  }

  const std::string type_;
  mutable std::mutex mutex_;
  std::map<std::string, FailureClass> failing_;
  std::function<void()> hook_;
  std::vector<bool> fresh_calls_;
};

// Says no to everything.
class RefusingKms : public Kms {
 public:
  explicit RefusingKms(FailureClass c = FailureClass::kDenied, std::string type = "AWS_KMS") : class_(c), type_(std::move(type)) {}
  std::string_view type() const override { return type_; }
  absl::Status Check(const RootKey&) const override { return absl::OkStatus(); }
  absl::StatusOr<KeyDescription> Describe(const RootKey&, const KmsCall&) override { return No(); }
  absl::StatusOr<KmsWrapped> Wrap(const RootKey&, const SecretBytes&, const KmsContext&, const KmsCall&) override { return No(); }
  absl::StatusOr<SecretBytes> Unwrap(const RootKey&, const KmsWrapped&, const KmsContext&, const KmsCall&) override { return No(); }

 private:
  absl::Status No() const { return KmsError(class_, "fake KMS: refused"); }
  const FailureClass class_;
  const std::string type_;
};

// Never answers (it does not wait either: the call ends as after a time-out).
class SilentKms : public RefusingKms {
 public:
  explicit SilentKms(std::string type = "AWS_KMS") : RefusingKms(FailureClass::kUnreachable, std::move(type)) {}
};

// Wraps honestly and unwraps to something else, as if nothing had happened.
class CorruptKms : public FakeKms {
 public:
  enum Vice { kFlipsABit, kCutsShort, kReturnsNothing, kIgnoresTheContext };
  explicit CorruptKms(Vice vice = kFlipsABit, std::string type = "AWS_KMS") : FakeKms(std::move(type)), vice_(vice) {}
  absl::StatusOr<KmsWrapped> Wrap(const RootKey& key, const SecretBytes& plaintext, const KmsContext& context,
                                  const KmsCall& call) override {
    return FakeKms::Wrap(key, plaintext, vice_ == kIgnoresTheContext ? KmsContext{} : context, call);
  }
  absl::StatusOr<SecretBytes> Unwrap(const RootKey& key, const KmsWrapped& wrapped, const KmsContext& context,
                                     const KmsCall& call) override {
    ASSIGN_OR_RETURN(SecretBytes honest, FakeKms::Unwrap(key, wrapped, vice_ == kIgnoresTheContext ? KmsContext{} : context, call));
    if (vice_ == kReturnsNothing) return SecretBytes();
    if (vice_ == kCutsShort) return SecretBytes::CopyOf(honest.Reveal(SecretAccess{}).first(honest.size() - 1));
    if (vice_ == kFlipsABit) honest.RevealMutable(SecretAccess{})[0] ^= 1;
    return honest;
  }

 private:
  const Vice vice_;
};

// A set with this one KMS in it; `raw` (may be null) gets a pointer that lives as long as the set.
template <typename T>
KmsSet SetOf(std::unique_ptr<T> kms, T** raw = nullptr) {
  if (raw != nullptr) *raw = kms.get();
  KmsSet set;
  set.Add(std::move(kms));
  return set;
}

}  // namespace latchkey
