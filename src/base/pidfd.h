// <sys/pidfd.h>, which glibc 2.36 does not declare for C++.
#pragma once

extern "C" {
#include <sys/pidfd.h>
}
