-- The engine with a sandbox that isn't one: what it opens, in which order, and what it makes of the outcomes.
local pipeline = require "moonbox.pipeline"
local record = require "moonbox.record"
local runs = require "spec.support.runs"
local task = require "moonbox.task"
local json = require "moonbox.json"

local function plan()
  return {
    policy = "fake", mounts = {}, env = { "PATH=/bin" }, rlimits = {},
    limits = { cpus = 1, memory = 2 ^ 20, time = 100, disk = 100, processes = 10 }, storage = { kind = "memory", size = 100 },
    network = { mode = "none", rules = {}, otherwise = "deny" },
  }
end

-- answer(spec, opened plan) returns an outcome's fields.
local function fake(answer)
  local seen = { plans = {}, specs = {}, open = 0 }
  seen.module = { STDOUT = "merge", INHERIT = "pass", CAPTURE = "capture" }
  function seen.module.open(opened, options)
    seen.plans[#seen.plans + 1] = opened
    seen.storage, seen.open = options.storage, seen.open + 1
    seen.flows, seen.step = options.flows, options.step
    return {
      exec = function(_, spec)
        seen.specs[#seen.specs + 1] = spec
        local outcome, message, code = answer(spec, opened)
        if not outcome then return nil, message, code end
        if spec.on_output and outcome.says then spec.on_output("stdout", outcome.says) end
        outcome.code = outcome.code or 0
        return outcome
      end,
      close = function() seen.open = seen.open - 1 end,
    }
  end
  return seen
end

describe("the engine", function()
  local folder, one, written, tail

  before_each(function()
    folder = runs.folder()
    one = assert(task.create(folder))
    tail = {}
  end)
  after_each(function()
    written:close()
    one:finish()
    runs.remove(folder)
  end)

  local function run(steps, answer, more)
    more = more or {}
    for i, step in ipairs(steps) do
      step.name, step.file, step.line = step.name or "s" .. i, "p.lua", i
    end
    local values = {}
    for _, value in pairs(more.secrets or {}) do values[#values + 1] = value end
    written = assert(record.open(one, { secrets = values }))
    local seen = fake(answer or function() return {} end)
    local result = pipeline.run {
      data = { name = "p", file = "p.lua", line = 1, needs = {}, steps = steps, gives = {} }, plan = more.plan or plan(),
      values = more.values or {}, secrets = more.secrets, task = one, record = written, sandbox = seen.module,
      report = { output = function(_, bytes) tail[#tail + 1] = bytes end, tick = function() end },
    }
    assert.equal(0, seen.open, "every sandbox was closed")
    return result, seen
  end

  local function states()
    local list = {}
    for _, event in ipairs(runs.events(one.path, "step_ended")) do list[#list + 1] = event.state end
    return table.concat(list, " ")
  end

  it("runs the steps in order, each in a sandbox of its own on the task's one filesystem", function()
    local result, seen = run { { run = { "a" } }, { run = { "b" }, cwd = "/tmp", time = 7 } }
    assert.equal("passed", result.state)
    assert.equal(2, #seen.plans)
    assert.equal(one:file("fs"), seen.storage)
    assert.equal("disk", seen.plans[1].storage.kind)
    assert.same({ { "a" }, { "b" } }, { seen.specs[1].run, seen.specs[2].run })
    assert.equal("/tmp", seen.specs[2].cwd)
    assert.is_true(seen.specs[2].time <= 7 and seen.specs[1].time <= 100 and seen.specs[1].time > 99)
  end)

  it("says where the flows of a step go, and adds them up at the end", function()
    local _, seen = run({ { run = { "a" } } }, function()
      local handle = io.open(one:file "flows.jsonl", "ab")
      handle:write('{"event":"flow","name":"a.org","verdict":"allow","up":5,"down":7}\n',
        '{"event":"dns","name":"b.org","verdict":"deny","rule":"p.lua:3","reason":"no row allows it"}\n')
      handle:close()
      return {}
    end)
    assert.same({ one:file "flows.jsonl", "s1" }, { seen.flows, seen.step })
    local sentence = "2 hosts, 5 B up, 7 B down, 1 denied: b.org (no row allows it, p.lua:3)"
    local events = runs.events(one.path)
    assert.equal("network", events[#events - 1].event)
    assert.equal(sentence, events[#events - 1].sentence)
    local network = json.decode(runs.read(one:file("task.json"))).network
    assert.equal(sentence, network.sentence)
    assert.equal("b.org", network.by_host[1].host)
    assert.same({ 5, 7 }, { network.by_host[2].up, network.by_host[2].down })
  end)

  it("ends at the failing step with its code and a sentence", function()
    local result, seen = run({ { run = { "a" } }, { run = { "b" } } }, function() return { code = 7 } end)
    assert.same({ "failed", 7, 'step "s1" failed with exit code 7' }, { result.state, result.code, result.sentence })
    assert.equal(1, #seen.specs)
    local data = json.decode(runs.read(one:file("task.json")))
    assert.same({ "failed", 7, "failed", 1 }, { data.state, data.code, data.steps[1].state, #data.steps })
    local events = runs.events(one.path)
    assert.equal("result", events[#events].event)
    assert.equal(7, events[#events].code)
  end)

  it("goes on where a failure is allowed", function()
    local result = run({ { run = { "a" }, allow_failure = true }, { run = { "b" } } },
      function(spec) return { code = spec.run[1] == "a" and 3 or 0 } end)
    assert.equal("passed", result.state)
    assert.equal("allowed passed", states())
  end)

  it("tries a failed step again as often as it says", function()
    local count = 0
    local result, seen = run({ { run = { "a" }, retry = 2 } }, function()
      count = count + 1
      return { code = count < 3 and 1 or 0 }
    end)
    assert.equal("passed", result.state)
    assert.equal("retry retry passed", states())
    assert.equal(3, #seen.plans)
    assert.equal(3, json.decode(runs.read(one:file("task.json"))).steps[1].tries)
  end)

  it("ends with 130 or 143 when interrupted, whatever the step allows", function()
    for signal, code in pairs { INT = 130, TERM = 143 } do
      local result, seen = run({ { run = { "a" }, retry = 5, allow_failure = true }, { run = { "b" } } },
        function() return { code = 0, ended_by = "interrupted", signal = signal } end)
      assert.same({ "interrupted", code, 1 }, { result.state, result.code, #seen.specs })
    end
  end)

  it("ends the task when its whole time is over, whatever the step allows", function()
    local short = plan()
    short.limits.time = 0.01
    local result = run({ { run = { "a" }, retry = 5, allow_failure = true }, { run = { "b" } } },
      function() return { code = 124, ended_by = "time" } end, { plan = short })
    assert.same({ "failed", 124 }, { result.state, result.code })
    assert.equal(1, #runs.events(one.path, "step_started"))
    assert.truthy(result.sentence:find("the task's time is over", 1, true))
  end)

  it("says what a sandbox said that couldn't be opened", function()
    written = assert(record.open(one))
    local result = pipeline.run {
      data = { name = "p", file = "p.lua", line = 1, needs = {}, gives = {},
        steps = { { name = "s", run = { "a" }, file = "p.lua", line = 1 } } },
      plan = plan(), values = {}, task = one, record = written,
      report = { output = function() end, tick = function() end },
      sandbox = { open = function() return nil, "no user namespaces", 69 end },
    }
    assert.same({ 69, 'step "s" failed with exit code 69: no user namespaces' }, { result.code, result.sentence })
  end)

  it("replaces parameters whole, and mounts in the steps that mention them only", function()
    local mount = { kind = "bind", source = "/host/.git", target = "/source/repo/.git", read_only = true }
    local values = {
      repo = { kind = "repository", text = "file:///source/repo", mount = mount, git = "/source/repo/.git" },
      agent = { kind = "command", text = "codex exec", words = { "codex", "exec" } },
      prompt = { kind = "text", text = "a; $(b) $repo 'c'" },
    }
    local _, seen = run({ { run = { "git", "clone", "$repo" } }, { run = { "$agent", "$prompt" } },
      { run = { "x" }, env = { R = "at $repo" } } }, nil, { values = values })
    assert.same({ "git", "clone", "file:///source/repo" }, seen.specs[1].run)
    assert.same({ "codex", "exec", "a; $(b) $repo 'c'" }, seen.specs[2].run)
    assert.equal("at file:///source/repo", seen.specs[3].env.R)
    assert.equal(mount, seen.plans[1].mounts[1])
    assert.truthy(seen.plans[1].mounts[2].text:find("directory = /source/repo/.git\n", 1, true))
    assert.same({}, seen.plans[2].mounts)
    assert.equal(2, #seen.plans[3].mounts)
  end)

  it("gives secrets to the steps that name them, and shows them nowhere", function()
    local _, seen = run({ { run = { "a" }, secrets = { "KEY" } }, { run = { "b" } } },
      function() return { says = "it is hunter2\n" } end, { secrets = { KEY = "hunter2" } })
    assert.equal("hunter2", seen.specs[1].env.KEY)
    assert.is_nil(seen.specs[2].env.KEY)
    assert.equal("it is ***\nit is ***\n", table.concat(tail))
    assert.equal("it is ***\n", runs.read(one:file("logs/01-s1.log")))
    local _, all = runs.shell("cat " .. one.path .. "/*.json* " .. one.path .. "/logs/*")
    assert.is_nil(all:find("hunter2", 1, true))
  end)

  describe("with a do function", function()
    local values = { n = { kind = "number", text = "3" }, prompt = { kind = "text", text = "hi" },
      agent = { kind = "command", text = "a b", words = { "a", "b" } } }

    it("gives it box and given, in one sandbox for all its commands", function()
      local got = {}
      local result, seen = run({ { env = { A = "1" }, time = 9, body = function(box, given)
        got = { given.n, given.prompt, given.agent[2], box:exec { "x", given.prompt } }
        box:exec { run = { "y" }, env = { B = "2" }, cwd = "/tmp", stdin = "in" }
      end } }, function() return { code = 4, stdout = "out", stderr = "err" } end, { values = values })
      assert.equal("passed", result.state)
      assert.same({ 3, "hi", "b", 4, "out", "err" }, got)
      assert.equal(1, #seen.plans)
      assert.same({ A = "1", B = "2" }, seen.specs[2].env)
      assert.is_true(seen.specs[2].time <= 9)
      assert.equal("in", seen.specs[2].stdin)
    end)

    it("mounts what it reads from given, also after its first command", function()
      local mount = { kind = "bind", source = "/h", target = "/source/f", read_only = true }
      local _, seen = run({ { body = function(box, given)
        box:exec { "before" }
        box:exec { "after", given.f }
      end } }, nil, { values = { f = { kind = "folder", text = "/source/f", mount = mount } } })
      assert.equal(2, #seen.plans)
      assert.same({}, seen.plans[1].mounts)
      assert.equal(mount, seen.plans[2].mounts[1])
    end)

    it("takes its result: nothing, true, false, a code and a sentence", function()
      local function result_of(...)
        local values_returned, count = { ... }, select("#", ...)
        local result = run { { body = function() return unpack(values_returned, 1, count) end } }
        written:close()
        return result.code, result.sentence
      end
      assert.equal(0, (result_of()))
      assert.equal(0, (result_of(true)))
      assert.equal(1, (result_of(false)))
      assert.equal(7, (result_of(7)))
      assert.equal('step "s1" failed with exit code 2: not content', select(2, result_of(2, "not content")))
      for _, wrong in ipairs { 256, -1, 1.5, "x", {} } do assert.equal(65, (result_of(wrong))) end
    end)

    it("fails the step when it raises", function()
      local result = run { { body = function() error("no such luck", 0) end } }
      assert.same({ 1, 'step "s1" failed with exit code 1: no such luck' }, { result.code, result.sentence })
    end)

    it("fails the step when it reads a parameter or calls a function that isn't there", function()
      local result = run({ { body = function(_, given) return given.promtp end } }, nil, { values = values })
      assert.equal(1, result.code)
      assert.matches("there is no parameter `promtp`; did you mean `prompt`?", result.sentence, 1, true)
      written:close()
      result = run { { body = function(box) box:exce { "x" } end } }
      assert.matches("box has no `exce`; write box:exec", result.sentence, 1, true)
    end)

    it("tells mistakes in box:exec", function()
      for _, wrong in ipairs { {}, { { } }, { run = "x" }, { "x", run = { "y" } }, { "x", tiem = 3 }, { "x", env = 1 },
        { "x\0" }, { [1] = "x", [3] = "y" }, { "x", time = -1 }, { "x", time = 0 / 0 }, { "x", cwd = "here" },
        { "x", env = { "y" } }, { "x", env = { ["A=B"] = "y" } }, { "x", env = { A = "\0" } },
        { "x", env = { A = {} } } } do
        local result, seen = run { { body = function(box) box:exec(wrong) end } }
        written:close()
        assert.same({ "failed", 1, 0 }, { result.state, result.code, #seen.specs })
      end
    end)

    it("is ended when it loops for longer than its time", function()
      local result = run { { time = 0.2, body = function() while true do end end } } -- luacheck: ignore 542
      assert.same({ "failed", 124 }, { result.state, result.code })
    end)

    it("is ended by an interruption inside of box:exec", function()
      local after = false
      local result = run({ { body = function(box)
        box:exec { "x" }
        after = true
      end } }, function() return { ended_by = "interrupted", signal = "TERM" } end)
      assert.same({ "interrupted", 143, false }, { result.state, result.code, after })
    end)
  end)
end)
