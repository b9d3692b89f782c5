--- Files that can't grow, in place of a disk that is full: for specs of what is written down.
local ffi = require "ffi"

ffi.cdef [[
typedef struct { unsigned long soft, hard; } moonbox_file_limit;
int getrlimit(int resource, moonbox_file_limit *limit);
int setrlimit(int resource, const moonbox_file_limit *limit);
void (*signal(int number, void (*handler)(int)))(int);
]]

local RLIMIT_FSIZE, SIGXFSZ = 1, 25
local IGNORE = ffi.cast("void (*)(int)", 1)

--- Calls `work` while no file of this process can grow beyond `bytes`; returns its one value.
return function(bytes, work)
  local limit = ffi.new "moonbox_file_limit"
  assert(ffi.C.getrlimit(RLIMIT_FSIZE, limit) == 0)
  local before, handler = limit.soft, ffi.C.signal(SIGXFSZ, IGNORE)
  limit.soft = bytes
  assert(ffi.C.setrlimit(RLIMIT_FSIZE, limit) == 0)
  local called, result = pcall(work)
  limit.soft = before
  assert(ffi.C.setrlimit(RLIMIT_FSIZE, limit) == 0)
  ffi.C.signal(SIGXFSZ, handler)
  assert(called, result)
  return result
end
