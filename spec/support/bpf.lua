-- A seccomp filter's machine in Lua (linux/filter.h, the subset that seccomp(2) takes), so that specs can ask
-- a program about calls that no test may make, and can tell which instructions no case has reached.
local bit = require("bit")

local M = {}

local LOAD, AND, GOTO, EQUAL, GREATER, GREATER_EQUAL, ANY_BIT, RETURN = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35,
  0x45, 0x06

local compare = {
  [EQUAL] = function(a, k) return a == k end,
  [GREATER] = function(a, k) return a > k end,
  [GREATER_EQUAL] = function(a, k) return a >= k end,
  [ANY_BIT] = function(a, k) return bit.band(a, k) ~= 0 end,
}

-- struct seccomp_data of a little-endian machine: 32-bit words by offset. `args` holds numbers below 2^53 or
-- { high =, low = }.
local function words(call)
  local data = { [0] = call.nr, [4] = call.arch, [8] = 0, [12] = 0 }
  for i = 0, 5 do
    local value = call.args and call.args[i + 1] or 0
    if type(value) == "number" then
      value = { high = math.floor(value / 2 ^ 32), low = value % 2 ^ 32 }
    end
    data[16 + 8 * i], data[20 + 8 * i] = value.low, value.high
  end
  return data
end

--- Runs `program` on `call` ({ nr =, arch =, args = }) and returns the 32-bit answer. Indices of the
-- instructions that ran are set in `reached`, when given. Raises on an instruction that seccomp programs
-- don't use.
function M.run(program, call, reached)
  local data, a, at = words(call), 0, 1
  while true do
    local i = assert(program[at], "the program runs past its end")
    if reached then reached[at] = true end
    at = at + 1
    if i.code == RETURN then
      return i.k
    elseif i.code == LOAD then
      a = assert(data[i.k], "load from a strange offset")
    elseif i.code == AND then
      a = bit.band(a, i.k) % 2 ^ 32
    elseif i.code == GOTO then
      at = at + i.k
    else
      local holds = assert(compare[i.code], "unknown instruction " .. i.code)(a, i.k)
      at = at + (holds and i.jt or i.jf)
    end
  end
end

local KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7fff0000
local names = { [1] = "EPERM", [38] = "ENOSYS", [97] = "EAFNOSUPPORT" }

--- An answer in words: "allow", "kill" or an errno's name.
function M.word(answer)
  if answer == ALLOW then return "allow" end
  if answer == KILL then return "kill" end
  local errno = answer - ERRNO
  return assert(names[errno], "strange answer " .. answer)
end

--- What the kernel does with several programs: the first of the highest precedence, last installed asked
-- first. Kill comes before an errno, an errno before allow (seccomp(2)).
function M.together(programs, call)
  local verdict, rank = nil, { kill = 3, allow = 1 }
  for i = #programs, 1, -1 do
    local word = M.word(M.run(programs[i], call, programs[i].reached))
    if not verdict or (rank[word] or 2) > (rank[verdict] or 2) then verdict = word end
  end
  return verdict
end

return M
