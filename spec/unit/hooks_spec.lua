local language = require "support.language"
local hooks = require "moonbox.hooks"

local function load(on, before)
  local path = language.file((before or "") .. '\nreturn policy "x" { on = {\n' .. on .. "\n} }\n")
  return assert(hooks.load(path)), path
end

local function words(answers)
  local out = {}
  for i, answer in ipairs(answers) do out[i] = answer.word end
  return out
end

describe("hooks", function()
  after_each(language.clean)

  it("are the functions of a policy's `on`, and give reactions", function()
    local loaded = load [[
      usage = function(use) if use.memory > 0.9 * use.limits.memory then return warn "nearly full" end end,
      violation = function(v) return kill, notify "ops" end,]]
    assert.is_nil(loaded.connect)
    local limits = { memory = hooks.size(2 ^ 30) }
    assert.same({}, hooks.call(loaded.usage, { memory = hooks.size(2 ^ 29), limits = limits }))
    local answers = hooks.call(loaded.usage, { memory = hooks.size(2 ^ 30), limits = limits })
    assert.equal("warn", answers[1].word)
    assert.equal("nearly full", answers[1].text)
    assert.equal(3, answers[1].line)
    assert.truthy(answers[1].file:match("%.lua$"))
    assert.same({ "kill", "notify" }, words(hooks.call(loaded.violation, {})))
  end)

  it("compare sizes and times with units, and share out", function()
    local loaded = load [[ usage = function(use)
      if use.memory >= 2 * GB and use.seconds < 1 * minute and use.memory / use.limit == 0.5 then
        return throttle { cpus = 0.5 }, freeze { "look", time = 2 * minutes }, log "seen"
      end
    end ]]
    local answers = assert(hooks.call(loaded.usage, { memory = hooks.size(2 * 2 ^ 30), seconds = hooks.time(59),
      limit = hooks.size(4 * 2 ^ 30) }))
    assert.equal(0.5, answers[1].cpus)
    assert.equal(120, answers[2].time)
    assert.equal("look", answers[2].text)
    assert.equal("log", answers[3].word)
  end)

  it("110: keep what they remember from call to call, and can't change what others see", function()
    local loaded = load([[ usage = function(use) n = n + 1; use.limits.memory = 0
      if n == 2 then return warn "twice" end end ]], "local n = 0")
    local arg = { limits = { memory = 5 } }
    assert.same({}, hooks.call(loaded.usage, arg))
    assert.equal("warn", hooks.call(loaded.usage, arg)[1].word)
    assert.equal(5, arg.limits.memory)
  end)

  it("of a base and of the policy are both called, the base's first", function()
    local base = language.file('return policy "b" { on = { usage = function() return log "base" end } }\n')
    local path = language.file(('return policy "x" { extends = %q, on = { usage = function() return log "own" end } }\n')
      :format(base))
    local answers = hooks.call(assert(hooks.load(path)).usage, {})
    assert.equal("base", answers[1].text)
    assert.equal("own", answers[2].text)
  end)

  local failures = {
    { "an error", "error 'no'", "failed: .*:4: no" },
    { "nonsense", "return 5", "returned the number 5" },
    { "a unit", "return 5 * GB", "returned a size" },
    { "another hook's word", "return deny 'x'", "returned `deny`, which is no answer here" },
    { "an unknown word", "return wran 'x'", "unknown word `wran`; did you mean `warn`" },
    { "a word of outside", "return os.exit()", "`os` is not there" },
    { "a global", "count = 1", "would make a global" },
    { "an unknown field", "return throttle { cpu = 1 }", "`throttle` knows no cpu" },
    { "a throttle of nothing", "return throttle {}", "`throttle` needs cpus" },
    { "a negative throttle", "return throttle { cpus = -1 }", "number from 0.01" },
    { "a notify of nobody", "return notify", "`notify` needs a text" },
    { "a time without unit", "return freeze { time = 5 }", "takes a time such as" },
    { "a loop without end", "while true do end", "budget of instructions" },
    { "a recursion without end", "local function f() return 1 + f() end f()", "stack overflow" },
    { "an address in units", "return warn(('x'):dump())", "failed" },
  }
  for _, case in ipairs(failures) do
    it("112: fail with " .. case[1], function()
      local loaded = load("usage = function()\n" .. case[2] .. " end")
      for _ = 1, 2 do
        local answers, why = hooks.call(loaded.usage, {})
        assert.is_nil(answers)
        assert.truthy(why:match(case[3]), why)
        assert.truthy(why:match("%.lua:%d+:"), why)
      end
    end)
  end

  it("are not called when their file has changed", function()
    local data = require("moonbox.policy").load(language.file 'return policy "x" { on = { usage = function() end } }\n')
    local handle = io.open(data.hooks[1].path, "w")
    handle:write 'return policy "x" {\n\n on = { usage = function() end } }\n'
    handle:close()
    local loaded, why = hooks.load(data.hooks)
    assert.is_nil(loaded)
    assert.truthy(why:match("has changed since"), why)
  end)

  describe("in a process of their own", function()
    local function start(on, before)
      local _, path = load(on, before)
      return assert(hooks.start(require("moonbox.policy").load(path).hooks))
    end

    it("answer the same, and remember", function()
      local servant = start([[ usage = function(use) n = n + 1
        if use.memory > 1 * GB then return warn(n .. " times") end end ]], "local n = 0")
      assert.is_true(servant:has "usage")
      assert.is_false(servant:has "violation")
      assert.same({}, servant:call("usage", { memory = hooks.size(1) }))
      local answers = servant:call("usage", { memory = hooks.size(2 ^ 31) })
      assert.equal("2 times", answers[1].text)
      servant:close()
    end)

    it("give their errors", function()
      local servant = start "usage = function() error 'no' end"
      local answers, why = servant:call("usage", {})
      assert.is_nil(answers)
      assert.truthy(why:match("failed: .*:3: no"), why)
      servant:close()
    end)

    it("111: are stopped where no budget of instructions helps, and stay stopped", function()
      local servant = start [[ usage = function()
        return warn((("a"):rep(30000) .. "c"):find((".-"):rep(20) .. "b")) end ]]
      local began = language.core.sys.monotonic()
      local answers, why = servant:call("usage", {})
      assert.is_nil(answers)
      assert.truthy(why:match("still running after 1 s and was stopped"), why)
      assert.is_true(language.core.sys.monotonic() - began < 30)
      answers, why = servant:call("usage", {})
      assert.is_nil(answers)
      assert.truthy(why:match("ended its process"), why)
    end)

    it("111: can't use up the memory", function()
      local servant = start "usage = function() return log(('x'):rep(2 ^ 29)) end"
      local answers, why = servant:call("usage", {})
      assert.is_nil(answers)
      assert.truthy(why:match("memory") or why:match("ended its process"), why)
      servant:close()
    end)
  end)

  describe("about connections", function()
    local flow = { name = "a.example.org", address = "192.0.2.7", port = 443, sni = "a.example.org", rule = "x.lua:3",
      connections = 5, denied = 1, up = 10, down = 2 ^ 31 }

    local function decide(body, with)
      local given = {}
      for key, value in pairs(flow) do given[key] = value end
      for key, value in pairs(with or {}) do given[key] = value or nil end
      local path = language.file('return policy "x" { on = {\nconnect = function(flow)\n' .. body .. "\nend } }\n")
      local decision, from, why = hooks.connect(path)
      assert.is_nil(why)
      assert.equal(path .. ":2", from)
      return decision(given)
    end

    it("refuse with a reason, warn, or say nothing", function()
      local verdict, reason = decide 'if flow.name:match("^a%.") then return deny "no a" end'
      assert.equal("deny", verdict)
      assert.equal("no a", reason)
      verdict, reason = decide 'return warn("port " .. flow.port)'
      assert.equal("warn", verdict)
      assert.equal("port 443", reason)
      assert.is_nil(decide "return nil")
      assert.is_nil(decide "")
      verdict, reason = decide 'return warn "first", deny "no"'
      assert.equal("deny", verdict)
      assert.equal("no", reason)
    end)

    it("see the flow in one form", function()
      assert.equal("deny", (decide [[
        if flow.address == "192.0.2.7" and flow.sni == "a.example.org" and flow.rule == "x.lua:3"
          and flow.counters.connections == 5 and flow.counters.denied == 1 and flow.counters.down > 1 * GB
          and flow.counters.up < 1 * KB then return deny "all as it is" end]]))
      assert.is_nil(decide('if flow.name ~= "192.0.2.7" or flow.sni then return deny "?" end', { name = false, sni = false }))
    end)

    it("112: deny when they fail, overrun or talk nonsense", function()
      for body, expected in pairs { ["error 'no'"] = "failed: .*no", ["while true do end"] = "budget of instructions",
        ["return false"] = "returned false", ["return true"] = "returned true", ["return 'deny'"] = 'returned the text "deny"',
        ["return kill"] = "no answer here", ["return allow { flow.name }"] = "no answer here",
        ["return flow.nmae:match('x')"] = "failed", ["return dney 'x'"] = "unknown word `dney`", ["last = flow"] = "global",
        ["return deny { why = 'x' }"] = "knows no why", ["return warn(5)"] = "`warn` is given" } do
        local verdict, reason = decide(body)
        assert.equal("deny", verdict, body)
        assert.truthy(reason:match(expected), body .. ": " .. reason)
      end
      assert.same({ "deny", "the hook `connect` gave no reason" }, { decide "return deny {}" })
    end)

    it("112: say the same of the same flow, again and again", function()
      local path = language.file([[return policy "x" { on = { connect = function(flow)
        if flow.name:match("^a%.") and flow.counters.down > 1 * GB then return deny "enough" end
      end } }]])
      local decision = hooks.connect(path)
      local other = { name = "b.example.org", address = "192.0.2.8", port = 80, rule = "x.lua:3", connections = 0, denied = 0,
        up = 0, down = 0 }
      for i = 1, os.getenv("MOONBOX_LONG") == "1" and 1000000 or 20000 do
        local verdict, reason = decision(i % 2 == 0 and flow or other)
        if verdict ~= (i % 2 == 0 and "deny" or nil) or reason ~= (i % 2 == 0 and "enough" or nil) then
          error(("%d: %s, %s"):format(i, tostring(verdict), tostring(reason)))
        end
      end
    end)

    it("are nothing where a policy has none, and a sentence where it can't be read", function()
      assert.same({}, { hooks.connect(language.file 'return policy "x" { on = { usage = function() end } }\n') })
      local decision, from, why = hooks.connect(language.file "return 4\n")
      assert.is_nil(decision)
      assert.is_nil(from)
      assert.truthy(why:match("returns the number 4"))
    end)
  end)
end)
