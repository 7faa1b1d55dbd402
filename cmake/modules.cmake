# The functions that every folder's CMakeLists.txt is written with.

# Every target of ours links this and nothing else sets flags.
add_library(wr_flags INTERFACE)
target_include_directories(wr_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(wr_flags INTERFACE _POSIX_C_SOURCE=200809L WARDROUND_VERSION="${PROJECT_VERSION}")
target_compile_options(wr_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
    -Wcast-qual -Wpointer-arith -Wwrite-strings -Wformat=2 -Wundef -Wswitch-enum
    -Wconversion -Wdouble-promotion -Wnull-dereference
    # gcc guesses lengths of %s from array sizes; where a cut matters the result is checked
    $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>
    # nobody reads the floating-point exception flags: comparisons may become vector code
    -ffp-contract=off -fno-math-errno -fno-trapping-math -fstack-protector-strong)
if(WR_WERROR)
  target_compile_options(wr_flags INTERFACE -Werror)
endif()
if(WR_SANITIZE)
  target_compile_options(wr_flags INTERFACE
      -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(wr_flags INTERFACE -fsanitize=address,undefined)
endif()
# A hundred test programs are linked in every build: by a quicker linker where there is one, in less than half
# of the time. What is installed is linked as the compiler does it. (Of clang's sanitizers gold complains.)
add_library(wr_quick_link INTERFACE)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(quick gold)
else()
  set(quick lld)
endif()
find_program(QUICK_LINKER ld.${quick})
if(QUICK_LINKER)
  target_link_options(wr_quick_link INTERFACE -fuse-ld=${quick})
endif()
if(WR_SANITIZE)
  target_link_libraries(wr_flags INTERFACE wr_quick_link)
endif()
if(WR_FUZZ)
  target_compile_options(wr_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# wr_module(common/base error.c arena.c LINK ...)  ->  target wr_common_base, alias wr::common_base
function(wr_module path)
  cmake_parse_arguments(PARSE_ARGV 1 M "" "" "LINK")
  string(REPLACE "/" "_" name ${path})
  list(TRANSFORM M_UNPARSED_ARGUMENTS PREPEND ${PROJECT_SOURCE_DIR}/${path}/)
  add_library(wr_${name} STATIC ${M_UNPARSED_ARGUMENTS})
  add_library(wr::${name} ALIAS wr_${name}) # with ::, a mistyped name fails at configure time
  target_link_libraries(wr_${name} PUBLIC wr_flags ${M_LINK})
endfunction()

# The same sources once more with real = double, for gradient tests: wr_twin(common/tape LINK ...)
function(wr_twin path)
  cmake_parse_arguments(PARSE_ARGV 1 T "" "" "LINK")
  string(REPLACE "/" "_" name ${path})
  get_target_property(sources wr_${name} SOURCES)
  add_library(wr_${name}_f64 STATIC EXCLUDE_FROM_ALL ${sources})
  add_library(wr::${name}_f64 ALIAS wr_${name}_f64)
  target_link_libraries(wr_${name}_f64 PUBLIC wr_flags ${T_LINK})
  target_compile_definitions(wr_${name}_f64 PUBLIC REAL_IS_DOUBLE)
endfunction()

# wr_program(wardround-sim sim/app main.c ... LINK ...)  ->  bin/wardround-sim
function(wr_program name path)
  cmake_parse_arguments(PARSE_ARGV 2 P "" "" "LINK")
  list(TRANSFORM P_UNPARSED_ARGUMENTS PREPEND ${PROJECT_SOURCE_DIR}/${path}/)
  add_executable(${name} ${P_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE wr_flags ${P_LINK})
endfunction()

# wr_test(test_base LINK wr::common_base)  ->  tests/unit/test_base.c as one cmocka program, run by ctest
function(wr_test name)
  cmake_parse_arguments(PARSE_ARGV 1 T "" "TIMEOUT;SOURCE" "LINK")
  if(NOT T_SOURCE)
    set(T_SOURCE ${name})
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  add_executable(${name} ${PROJECT_SOURCE_DIR}/tests/unit/${T_SOURCE}.c)
  target_link_libraries(${name} PRIVATE wr_flags wr_quick_link ${T_LINK} cmocka m)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  # Those that may take longest begin first: none is left to run alone at the end.
  set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT} COST ${T_TIMEOUT})
endfunction()
