-- Every example runs and does what its first lines say.
local mode = require "support.mode"
local runs = require "support.runs"

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q isn't in:\n%s"):format(part, text))
end

local cases = {}

function cases.hello(record)
  assert.equal("hello, world\n", runs.read(record .. "/logs/01-greet.log"))
end

function cases.loop(record)
  has(runs.read(record .. "/logs/01-work.log"), "content after try 3")
end

cases["bring-back"] = function(record)
  assert.equal("3\n", runs.read(record .. "/gives/report.txt"))
  has(runs.read(record .. "/workspace.patch"), "\n+three\n")
end

function cases.retry(record)
  assert.equal(3, #runs.events(record, "step_started"))
end

function cases.secret(record)
  assert.equal("the key is ***\n", runs.read(record .. "/logs/01-with.log"))
  assert.equal("no key here\n", runs.read(record .. "/logs/02-without.log"))
end

cases["time-limit"] = function(record)
  local ended = runs.events(record, "step_ended")
  assert.same({ 124, "allowed", 0 }, { ended[1].code, ended[1].state, ended[2].code })
end

describe("the examples", function()
  if not runs.built() then
    return it("needs build/moonbox", function() pending("build/moonbox is not built") end)
  end

  local folder

  before_each(function() folder = runs.folder() end)
  after_each(function() runs.remove(folder) end)

  for name, judge in pairs(cases) do
    it("have " .. name, function()
      local code, out, err, record = runs.run(folder .. "/state", { "examples/" .. name .. ".lua" },
        "API_KEY=correct-horse")
      assert.equal(0, code, out .. err)
      judge(record)
    end)
  end

  it("have no other than these and the agent's task, which the demo runs", function()
    local _, out = runs.shell("ls examples/*.lua")
    for path in out:gmatch("[^\n]+") do
      local name = path:match("([^/]+)%.lua$")
      assert.truthy(cases[name] or name == "codex-task", path .. " is run by no spec")
    end
  end)

  it("are found by name and pass `moonbox check`", function()
    assert.equal(0, (runs.run(folder .. "/state", { "hello" })))
    local code, out, err = runs.shell("build/moonbox check examples/*.lua")
    assert.equal(0, code, out .. err)
  end)

  it("have a demo that runs the agent's task and proves its patch", function()
    for _, tool in ipairs { "npm", "/usr/bin/python3", "ip", "openssl", "/usr/sbin/dropbear", "ssh" } do
      mode.need(tool, "the demo needs it")
    end
    local code, out, err = runs.shell("TMPDIR=" .. folder .. " sh examples/demo/run.sh")
    assert.equal(0, code, out .. err)
    has(out, "+  return DAYS[month - 1];")
    has(out, "# pass 3")
    has(out, "github.com:443")
    has(out, "the same over ssh")
    local _, left = runs.shell("ls -A " .. folder)
    assert.equal("", left)
  end)
end)
