--- Read by busted before a spec file: the sanitizers' runtime is for this process, not for the programs that specs start
-- (moonbox has its own).
local ffi = require "ffi"

ffi.cdef [[ int unsetenv(const char *name); ]]
ffi.C.unsetenv("LD_PRELOAD")
