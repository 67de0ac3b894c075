// Whether the keys that somebody names may be taken: their form, and what an agent of each region says when it tries them.
#pragma once

#include <absl/status/status.h>

#include <vector>

#include "control/core.h"

namespace latchkey {

// Every region is one of the cluster and named once; with `all`, every region of the cluster is named. Types are known, texts bounded, and
// no key is the operator's own. InvalidArgument naming the field and permanent (KeyFaultOf), since asking again cannot help; Unimplemented
// for NULL_KMS, which the dialect knows and this product does not.
absl::Status CheckKeySpecs(const Core& core, const ClusterModel& model, const std::vector<RegionKeySpec>& specs, bool all);

// Type, lengths and characters, and that it is not the operator's own key. `field` stands before the names in errors ("key_spec").
absl::Status CheckKey(const Core& core, const RootKey& key, const std::string& field);

// Has one key tried by any host of the region. Unavailable without a host, or without an answer in time; a bad answer is none of these.
absl::StatusOr<KeyTestView> TestOneKey(Core& core, const RegionKeySpec& spec);

// Has each key tried by a host of its region: the cluster's own where it was heard of lately, else any. OK when all can be used.
// Unavailable without a host, without an answer in time, or when the KMS did not answer; InvalidArgument with a KeyFault otherwise.
absl::Status TestKeys(Core& core, const ClusterModel& model, const std::vector<RegionKeySpec>& specs);

}  // namespace latchkey
