# Compiler flags, sanitizers and the libraries from Debian that the rooms link to.

add_compile_options(-Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers
                    -fstack-protector-strong -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-fpch-preprocess)
  # GCC 12 sees overflows in libstdc++'s own string code where there are none (GCC bugs 105329, 105651).
  add_compile_options(-Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread -Wno-array-bounds -Wno-maybe-uninitialized)
else()
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-g1)
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
if(LATCHKEY_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -g1 -O1)
  add_link_options(-fsanitize=address,undefined)
elseif(LATCHKEY_SANITIZE STREQUAL "fuzz")
  # All rooms are instrumented for coverage; only the *_fuzz programs link libFuzzer's main (cmake/rooms.cmake).
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -g1 -O1)
  add_link_options(-fsanitize=address,undefined)
elseif(LATCHKEY_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread -g1 -O1)
  add_link_options(-fsanitize=thread)
endif()

# ccache keeps the second build short. Precompiled headers need the sloppiness named here (ccache manual, "Precompiled headers").
find_program(CCACHE ccache)
if(CCACHE)
  # The base folder makes two clones share the cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

set(Boost_NO_WARN_NEW_VERSIONS ON)
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
find_package(absl REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(CURL REQUIRED)
find_package(spdlog REQUIRED)
find_package(prometheus-cpp CONFIG REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3)
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)
# Of p11-kit only the header: modules are loaded by name at run time.
pkg_check_modules(P11KIT REQUIRED p11-kit-1)
add_library(latchkey_pkcs11_headers INTERFACE)
target_include_directories(latchkey_pkcs11_headers SYSTEM INTERFACE ${P11KIT_INCLUDE_DIRS})

# Boost.Asio and Beast are compiled once, in http/ (their templates cost half a minute a file otherwise).
add_compile_definitions(BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)

# SOCI ships no CMake configuration in Debian.
find_library(SOCI_CORE soci_core REQUIRED)
find_library(SOCI_SQLITE3 soci_sqlite3 REQUIRED)
add_library(latchkey_soci INTERFACE)
target_link_libraries(latchkey_soci INTERFACE ${SOCI_CORE} ${SOCI_SQLITE3} PkgConfig::SQLITE3)

set(LATCHKEY_COMMON absl::status absl::statusor absl::strings absl::time absl::str_format Boost::json spdlog::spdlog OpenSSL::Crypto Threads::Threads)
