-- What a process in a box gains by doing the same thing all the time while the engine works (probes 4 and 6). In full
-- with MOONBOX_MUST_RUN=1 or MOONBOX_LONG=1; a shorter time otherwise.
local box = require "support.box"
local canaries = require "support.canary"
local compile = require "support.compile"

local core = require "moonbox.core"

local sys = core.sys

local FULL = os.getenv("MOONBOX_MUST_RUN") == "1" or os.getenv("MOONBOX_LONG") == "1"

describe("a race", function()
  local helpers, canary

  setup(function()
    box.enter()
    helpers = compile.helpers("racer")
  end)
  teardown(box.leave)
  before_each(function() canary = canaries.plant() end)
  after_each(function()
    local wrong = canary:check()
    canary:remove()
    assert.same({}, wrong)
  end)

  local function plan_with(...)
    local rows = { compile.row(helpers), ... }
    return box.plan(function(plan)
      for _, row in ipairs(rows) do table.insert(plan.mounts, row) end
    end)
  end

  local function start(racer, seconds, action, ...)
    local arguments = table.concat({ action, seconds, ... }, " ")
    assert.equal(0, box.inside(racer, "/opt/spec/racer " .. arguments .. " >/tmp/racer 2>&1 &").code)
  end

  -- What the racer printed, when it has ended.
  local function result(racer, last, seconds)
    return assert.is_truthy(box.wait_for(function()
      local text = box.inside(racer, "cat /tmp/racer").stdout
      return text:find(last .. " %d+\n") and text
    end, seconds), "the racer did not end")
  end

  local function hashes()
    local done = box.shell("sha256sum /proc/" .. sys.pid() .. "/exe build/lib/moonbox/core.so " .. box.program)
    assert.equal(0, done.code, done.stderr)
    return done.stdout
  end

  local function executes(racer, count, program)
    local began = sys.monotonic()
    for _ = 1, count do assert.is_truthy(racer:exec { run = { program } }) end
    return sys.monotonic() - began
  end

  it("4: for the program of whoever starts commands never gives it for writing", function()
    local before = hashes()
    local racer = box.open(plan_with())
    local took = executes(racer, 200, "/bin/true") / 200
    local count = FULL and 10000 or 1000
    local seconds = math.ceil(took * count * 4 + 3) -- two processors: the racer slows what it races with
    start(racer, seconds, "grab")
    executes(racer, count, "/bin/true")
    local text = result(racer, "held", seconds + 30)
    assert.is_nil(text:match("writable[^\n]*"))
    assert.is_true(tonumber(text:match("held (%d+)")) > 0, "control: it held no program at all")
    assert.is_true(racer:close())
    assert.equal(before, hashes())
  end)

  it("4: nor for what holds a command to its time, and what serves files: copies of init, which stay it", function()
    local before = hashes()
    local made = assert(require("moonbox").create { plan = plan_with() })
    local began = sys.monotonic()
    for _ = 1, 20 do made:exec { run = { "/bin/true" }, time = 60 } end
    local count = FULL and 300 or 100
    local seconds = math.ceil((sys.monotonic() - began) / 20 * count * 4 + 3)
    start(made, seconds, "grab")
    for i = 1, count do
      assert.equal(0, made:exec({ run = { "/bin/true" }, time = 60 }).code)
      if i % 2 == 0 then assert(made:read "/etc/passwd") else assert(made:write("/tmp/x", "x")) end
    end
    local text = result(made, "held", seconds + 60)
    assert.is_nil(text:match("writable[^\n]*"))
    assert.is_true(tonumber(text:match("held (%d+)")) > 0, "control: it held no program at all")
    assert(made:destroy())
    assert.equal(before, hashes())
  end)

  it("4: control: gives a program that the tenant may write, once nobody runs it", function()
    local racer = box.open(plan_with())
    assert.equal(0, box.inside(racer, "cp /bin/true /workspace/own").code)
    start(racer, 3, "grab")
    executes(racer, 300, "/workspace/own")
    assert.matches("writable /workspace/own\n", result(racer, "held", 30))
    assert.is_true(racer:close())
  end)

  it("6: between a directory and a link in a shared volume leads no mount and no file out of the root", function()
    local outside, shared = box.home .. "/outside", box.home .. "/shared"
    local source = box.home .. "/source"
    for _, path in ipairs { outside, shared, shared .. "/d", source } do sys.mkdir(path, 493) end
    canary:file(outside .. "/file")
    canary:directory(outside)
    local volume = box.bind(shared, "/workspace", true)
    local racer = box.open(plan_with(volume))
    local seconds, least = FULL and 60 or 4, FULL and 1000 or 40
    assert.equal(0, box.inside(racer, "ln -s " .. outside .. " /workspace/l").code)
    start(racer, seconds, "flip", "/workspace/d", "/workspace/l")
    local plan = plan_with(volume, box.bind(source, "/workspace/d", true))
    local began, tried, opened, refused = sys.monotonic(), 0, 0, 0
    while tried < least or sys.monotonic() - began < seconds do
      local one = require("moonbox.sandbox").open(plan)
      tried = tried + 1
      if one then
        opened = opened + 1
        local seen = box.inside(one, "echo hit > /workspace/d/hit; cut -d' ' -f5 /proc/self/mountinfo").stdout
        assert.is_nil(seen:find(outside, 1, true), seen)
        assert.is_true(one:close())
      else
        refused = refused + 1
      end
    end
    local flips = tonumber(result(racer, "flips", seconds + 30):match("flips (%d+)"))
    assert.is_true(racer:close())
    assert.is_true(flips > 1000, "control: it exchanged them " .. flips .. " times only")
    assert.is_true(opened > 0 and refused > 0, ("control: %d opened, %d refused"):format(opened, refused))
  end)
end)
