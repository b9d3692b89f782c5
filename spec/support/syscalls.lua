-- What the sweep of spec/helpers/trysyscall.c must print under a profile: the golden comparison of live
-- answers.
local M = {}

--- Reads the helper's output: one "NUMBER ANSWER" a line, ANSWER an errno's name, "ok", "signal:NAME" or
-- "blocked". Returns { [number] = answer }, or raises with the first line that isn't one.
function M.parse(text)
  local answers = {}
  for line in text:gmatch("[^\n]+") do
    local number, answer = line:match("^(%d+) ([%w:]+)$")
    assert(number, "not a line of trysyscall: " .. line)
    answers[tonumber(number)] = answer
  end
  return answers
end

-- An allowed call shows by reaching the kernel: any answer but the filter's kill. The kernel itself says
-- EPERM to a caller without capabilities, and ENOSYS to a call that it lacks, which `control` tells.
local function reached_kernel(answer, control)
  if answer == "signal:SYS" then return false end
  return answer ~= "ENOSYS" or control == nil or control == "ENOSYS"
end

--- Compares live answers with the table of core.seccomp.table(profile). `control` is the parsed output of the
-- same sweep without a filter, or nil. Returns an array of sentences, one for each difference; empty when all
-- is well.
function M.differences(answers, wanted, control)
  local wrong = {}
  for number = 0, 600 do
    local want, got = wanted[number] or "ENOSYS", answers[number]
    local fits
    if got == nil then
      fits = false
    elseif want == "allow" or want == "conditional" then
      fits = reached_kernel(got, control and control[number])
    else
      fits = got == want
    end
    if not fits then wrong[#wrong + 1] = ("call %d: %s, not %s"):format(number, got or "nothing", want) end
  end
  return wrong
end

return M
