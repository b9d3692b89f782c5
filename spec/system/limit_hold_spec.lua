-- How hard each limit is held is said everywhere alike, and a policy that wants it hard does not run where it is not.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"
local json = require "moonbox.json"
local limited = require "support.limited"

local LIMITS = { "cpus", "memory", "disk", "time", "processes", "cpu_time" }

describe("how a limit is held", function()
  setup(box.enter)
  teardown(box.leave)

  local function rows(hold)
    return ("limits = { cpus = 1, cpu_time = 60 * seconds, disk = 64 * MB, hold = %s },"):format(hold)
  end

  local function levels(hold)
    return require("moonbox.holding").levels(assert(require("moonbox.plan").load(limited.policy(rows(hold)))))
  end

  local function check(hold, names)
    local result, refused = limited.exec(rows(hold), { "true" }), 0
    for _, name in ipairs(names) do
      local level = levels(hold)[name]
      if not level:match("^hard") then
        refused = refused + 1
        assert.matches(("the policy wants %s held hard, and here it would be %s"):format(name, level), result.stderr, 1, true)
      end
    end
    assert.same({ refused > 0 and 69 or 0, refused > 0 }, { result.code, result.stderr ~= "" }, result.stderr)
    return refused
  end

  for _, name in ipairs { "memory", "disk", "cpu_time" } do
    it(("refuses a policy that wants %s hard where it is not"):format(name), function()
      local refused = check(('{ %s = "hard" }'):format(name), { name })
      -- In every mode, as the kernel holds no sum of the processor times of processes.
      if name == "cpu_time" then assert.equal(1, refused) end
    end)
  end

  it("refuses one that wants all hard, with a sentence for each; one that does not runs (control)", function()
    assert.is_true(check('"hard"', LIMITS) >= 1)
    assert.equal(0, limited.exec(rows "{}", { "true" }).code)
  end)

  it("is the same for `explain`, the record and `doctor`", function()
    local path, held = limited.policy(rows "{}"), levels "{}"
    local function moonbox(line) return box.shell(box.program .. " " .. line .. " </dev/null").stdout end
    finally(function() moonbox "destroy held" end)
    moonbox("create --id held --policy " .. path)
    local started = moonbox("events held"):match('[^\n]*"event": *"started"[^\n]*')
    assert.same(held, json.decode(started).held)
    local explained, doctor = moonbox("explain " .. path), moonbox "doctor"
    for _, name in ipairs(LIMITS) do assert.matches(held[name], explained:match("\n  " .. name .. " +([^\n]+)"), 1, true) end
    for controller, name in pairs { cpu = "cpus", memory = "memory" } do
      local version = doctor:match(controller .. " limit +version (%d)")
      assert.equal(version, held[name]:match("^hard: control group v(%d)"))
    end
  end)
end)
