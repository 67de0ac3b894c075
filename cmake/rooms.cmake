# A room is a folder under src/: one static library of its *.cc, one test program of its *_test.cc.
#
#   latchkey_room(NAME [DEPS room ...] [LIBS target ...] [TEST_DEPS room ...] [TEST_LIBS target ...])
#
# DEPS are the rooms that it may import; arrows run downwards only (docs/architecture.md).

# Precompiled headers: what nearly every file reads anyway. Reused by all rooms, since a copy for each would cost a minute.
function(latchkey_pch_sources)
  file(WRITE ${CMAKE_BINARY_DIR}/pch/empty.cc "")
  add_library(latchkey_pch OBJECT ${CMAKE_BINARY_DIR}/pch/empty.cc)
  target_precompile_headers(latchkey_pch PRIVATE
    <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <cstring> <functional> <map> <memory> <mutex> <optional>
    <set> <span> <string> <string_view> <thread> <utility> <vector>
    <absl/status/status.h> <absl/status/statusor.h> <absl/strings/str_cat.h> <absl/time/time.h> <boost/json.hpp>)
  target_link_libraries(latchkey_pch PUBLIC ${LATCHKEY_COMMON})
  if(LATCHKEY_TESTS)
    add_library(latchkey_test_pch OBJECT ${CMAKE_BINARY_DIR}/pch/empty.cc)
    target_precompile_headers(latchkey_test_pch PRIVATE
      <algorithm> <array> <atomic> <chrono> <cstdint> <cstring> <functional> <map> <memory> <mutex> <optional>
      <set> <span> <string> <string_view> <thread> <utility> <vector>
      <absl/status/status.h> <absl/status/statusor.h> <absl/strings/str_cat.h> <absl/time/time.h> <boost/json.hpp>
      <gtest/gtest.h> <gmock/gmock.h>)
    target_link_libraries(latchkey_test_pch PUBLIC ${LATCHKEY_COMMON})
  endif()
endfunction()

function(latchkey_room name)
  cmake_parse_arguments(ROOM "" "" "DEPS;LIBS;TEST_DEPS;TEST_LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|_fuzz|/main)\\.cc$")
  if(NOT sources)
    add_library(lk_${name} INTERFACE)
    target_include_directories(lk_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(lk_${name} INTERFACE ${LATCHKEY_COMMON})
    foreach(dep ${ROOM_DEPS})
      target_link_libraries(lk_${name} INTERFACE lk_${dep})
    endforeach()
    return()
  endif()
  add_library(lk_${name} STATIC ${sources})
  target_include_directories(lk_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_precompile_headers(lk_${name} REUSE_FROM latchkey_pch)
  target_link_libraries(lk_${name} PUBLIC ${LATCHKEY_COMMON} ${ROOM_LIBS})
  foreach(dep ${ROOM_DEPS})
    target_link_libraries(lk_${name} PUBLIC lk_${dep})
  endforeach()
  if(LATCHKEY_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_precompile_headers(${name}_test REUSE_FROM latchkey_test_pch)
    target_link_libraries(${name}_test PRIVATE lk_${name} gtest_main gmock gtest ${ROOM_TEST_LIBS})
    foreach(dep ${ROOM_TEST_DEPS})
      target_link_libraries(${name}_test PRIVATE lk_${dep})
    endforeach()
    add_test(NAME ${name} COMMAND ${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  endif()
  latchkey_fuzzers(${name})
endfunction()

# Each x_fuzz.cc of a room becomes the program x_fuzz, in the preset fuzz only; the target fuzzers builds all of them.
function(latchkey_fuzzers room)
  if(NOT LATCHKEY_SANITIZE STREQUAL "fuzz")
    return()
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${room}/*_fuzz.cc)
  foreach(source ${sources})
    get_filename_component(program ${source} NAME_WE)
    add_executable(${program} ${source})
    target_precompile_headers(${program} REUSE_FROM latchkey_pch)
    target_link_libraries(${program} PRIVATE lk_${room})
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    if(NOT TARGET fuzzers)
      add_custom_target(fuzzers)
    endif()
    add_dependencies(fuzzers ${program})
  endforeach()
endfunction()
