--- A part of spec/bench/bench.lua: commands in a sandbox that is there, by its id.
local M = {}

--- `programs` and `loop` are bench.lua's.
function M.run(programs, loop)
  local moonbox = require "moonbox"
  local box = assert(moonbox.create { policy = "offline", id = "bench" })
  programs("moonbox exec ID -- /bin/true", "build/moonbox exec bench -- /bin/true", "luajit -e ''", "luajit -e ''", 1.5)
  loop("Lua: box:exec /bin/true, box by id", function()
    local outcome = assert(box:exec { run = { "/bin/true" } })
    assert(outcome.code == 0, outcome.sentence)
  end, "fork + exec + wait", "plain", 1.5)
  assert(box:destroy())
end

return M
