--- Hooks: the functions of a policy's `on`, loaded again from the policy's file where they are to be called.
--
-- A hook runs with the JIT off, in the strict environment of moonbox.loader and with an instruction budget. A budget
-- can't stop a C string function (a pattern of many `.-` on a long text), so who must go on whatever a hook does calls
-- it through M.start: a process of its own that is killed when it overruns, and whose memory is bounded.
--
-- What a hook gets is a copy. What it returns are reactions, { word, text, file, line } and the word's own fields:
-- the words of M.answers, bare (`kill`), with a text (`warn "nearly full"`), or with fields (`throttle { cpus = 1 }`).
-- Everything else is nonsense, and nonsense is a failure: the caller then takes the strictest way that it has.
local json = require "moonbox.json"
local say = require "moonbox.say"
local units = require "moonbox.units"

local M = {}

--- Virtual machine instructions that one call may take (about 10 ms), and a policy's loading.
M.INSTRUCTIONS = 1000000
M.LOADING = 20000000

--- Seconds of wall time, and bytes beyond moonbox's own, for a hook in a process of its own.
M.SECONDS, M.MEMORY = 1, 64 * 2 ^ 20

local reactions = { log = true, warn = true, notify = true, throttle = true, freeze = true, kill = true }

--- hook -> the words that it may return.
M.answers = { usage = reactions, violation = reactions,
  connect = { deny = true, warn = true } }

--- A size in bytes, or a time in seconds, that a hook sees as a unit value, so that it compares with `2 * GB`.
function M.size(bytes) return { unit = "size", amount = bytes } end
function M.time(seconds) return { unit = "time", amount = seconds } end

local OVERRUN = "ran for more than its budget of instructions; look for a loop without end"

-- Runs work(...) for at most `budget` instructions. Count hooks are not called in JIT-compiled code, which a policy's
-- never is (moonbox.loader), nor in C functions.
local function bounded(budget, work, ...)
  debug.sethook(function() error(OVERRUN, 0) end, "", budget)
  local results = { pcall(work, ...) }
  debug.sethook()
  return results
end

local function load_file(session, path, label)
  local results = bounded(M.LOADING, session.load, session, path, label, "policy")
  if not results[1] then return nil, label .. ": " .. tostring(results[2]) end
  local wrong = session:sorted()[1]
  if wrong then return nil, ("%s:%d: %s"):format(wrong.file, wrong.line, wrong.text) end
  return results[2]
end

--- Loads the hooks of a policy: of its plan (`plan.hooks`), or of a policy argument (a path or a shipped name).
-- Returns hook name -> hook, for M.call, or nil and a sentence. A policy's base and the policy itself may both have a
-- hook of one name: both are called, the base's first.
function M.load(what)
  if type(what) == "string" then
    local data, diagnostics = require("moonbox.policy").load(what)
    if not data then return nil, require("moonbox.policy").format(diagnostics[1]) end
    what = data.hooks
  end
  local session, rows, out = require("moonbox.policy").session(), {}, {}
  for _, hook in ipairs(what) do
    if not rows[hook.path] then
      local row, why = load_file(session, hook.path, hook.file)
      if not row then return nil, why end
      rows[hook.path] = row
    end
    local run = type(rows[hook.path].args.on) == "table" and rows[hook.path].args.on[hook.name]
    if type(run) ~= "function" or debug.getinfo(run, "S").linedefined ~= hook.line then
      return nil, ("%s:%d: the hook `%s` is no longer there: the file has changed since the sandbox was planned")
        :format(hook.file, hook.line, hook.name)
    end
    out[hook.name] = out[hook.name] or { name = hook.name, session = session, parts = {} }
    table.insert(out[hook.name].parts, { run = run, file = rows[hook.path].file, line = hook.line })
  end
  return out
end

-- Plain data as a hook sees it: a copy, with sizes and times as unit values.
local function seen_by_hook(value, file)
  if type(value) ~= "table" then return value end
  if value.unit == "size" then return file.units("KB") * (value.amount / 1024) end
  if value.unit == "time" then return file.units("second") * value.amount end
  local out = {}
  for key, inner in pairs(value) do out[key] = seen_by_hook(inner, file) end
  return out
end

local FIELDS = { throttle = { cpus = "number" }, freeze = { time = "time" } }

local function field(word, key, value)
  local kind = FIELDS[word] and FIELDS[word][key]
  if not kind then return nil, ("`%s` knows no %s"):format(word, say.plain(key)) end
  if kind == "time" then
    local parts = units.parts(value)
    if parts and parts[1] == "time" and parts[2] > 0 then return parts[2] end
    return nil, ("`%s` takes a time such as 30 * seconds for %s"):format(word, key)
  end
  if type(value) == "number" and value >= 0.01 and value <= 4096 then return value end
  return nil, ("`%s` takes a number from 0.01 to 4096 for %s"):format(word, key)
end

local function reaction(hook, part, value)
  local row = hook.session:row(value)
  local word = row and row.word or hook.session:bare_word(value)
  if not word then return nil, "returned " .. say.describe(value) end
  if not M.answers[hook.name][word] then return nil, ("returned `%s`, which is no answer here"):format(word) end
  local out = { word = word, file = part.file.label, line = row and row.line or part.line }
  for key, given in pairs(row and row.args or {}) do
    if key == 1 and type(given) == "string" then
      out.text = say.plain_sentence(given)
    else
      local why
      out[key], why = field(word, key, given)
      if out[key] == nil then return nil, why end
    end
  end
  if word == "throttle" and not out.cpus then return nil, "`throttle` needs cpus = a number" end
  if word == "notify" and not out.text then return nil, "`notify` needs a text" end
  return out
end

local function call_part(hook, part, arg, budget, out)
  local session = hook.session
  session.diagnostics, session.seen = {}, {}
  -- `return kill "why"` is a tail call, which leaves no line of its own.
  part.file.last = part.line
  local where = ("%s:%d: the hook `%s` "):format(part.file.label, part.line, hook.name)
  local results = bounded(budget, part.run, seen_by_hook(arg, part.file))
  if not results[1] then
    if results[2] == OVERRUN then return nil, where .. OVERRUN end
    return nil, where .. "failed: " .. say.plain_sentence(session:named(results[2]))
  end
  local wrong = session:sorted()[1]
  if wrong then return nil, ("%s:%d: %s"):format(wrong.file, wrong.line, wrong.text) end
  for i = 2, table.maxn(results) do
    if results[i] ~= nil then
      local answer, why = reaction(hook, part, results[i])
      if not answer then return nil, where .. why end
      out[#out + 1] = answer
    end
  end
  return true
end

--- Calls a hook with plain data in this process. Returns an array of reactions, empty when it returned nothing; or nil
-- and a sentence when it failed, overran `budget` (instructions; M.INSTRUCTIONS when nil) or returned nonsense.
function M.call(hook, arg, budget)
  local out = {}
  for _, part in ipairs(hook.parts) do
    local called, why = call_part(hook, part, arg, budget or M.INSTRUCTIONS, out)
    if not called then return nil, why end
  end
  return out
end

-- A flow in the form that a hook sees. A connection to a literal address has that as its name, so that a hook which
-- only looks at names says something about it too.
local function canonical(flow)
  local counters = { connections = flow.connections, denied = flow.denied, up = M.size(flow.up),
    down = M.size(flow.down) }
  return { name = flow.name or flow.address, address = flow.address, port = flow.port, sni = flow.sni,
    rule = flow.rule, counters = counters }
end

--- The decision of `on.connect` of a plan's hooks (or a policy argument) about what the rules allow, to be called in
-- the gateway. Load it before the gateway gives up its rights: it reads the policy's file. Returns a function and the
-- hook's "FILE:LINE"; nothing where there is no such hook; or nil, nil and a sentence.
-- The function takes { name, address, port, sni, rule, connections, denied, up, down } (name and sni may be nil; the
-- counters are the sandbox's so far, up and down in bytes) and returns nothing, "warn" and a text, or "deny" and a
-- reason. It never raises: a hook that fails, overruns or talks nonsense denies. It does not guard against C string
-- functions that take long: a watchdog around the process does.
function M.connect(what)
  local loaded, why = M.load(what)
  if not loaded then return nil, nil, why end
  local hook = loaded.connect
  if not hook then return nil end
  local last = hook.parts[#hook.parts]
  local function decide(flow)
    require("moonbox.core").collect()
    local answers, sentence = M.call(hook, canonical(flow))
    if not answers then return "deny", sentence end
    local warning
    for _, answer in ipairs(answers) do
      local text = answer.text or "the hook `connect` gave no reason"
      if answer.word == "deny" then return "deny", text end
      warning = warning or text
    end
    if warning then return "warn", warning end
  end
  return decide, last.file.label .. ":" .. last.line
end

local Servant = {}
Servant.__index = Servant

local function handler(plan_hooks)
  return function()
    require("moonbox.core").collect()
    local hooks, why = M.load(plan_hooks)
    return function(text)
      if not hooks then return json.encode { why = why } end
      local question = json.decode(text)
      local answers, sentence = M.call(hooks[question.hook], question.arg)
      return json.encode { answers = answers and json.array(answers), why = sentence }
    end
  end
end

--- Starts a process that loads the hooks of a plan and answers for them. Returns it, or nil and a sentence. Start it
-- before a sandbox is opened: it then holds nothing of it.
function M.start(plan_hooks)
  local names = {}
  for _, hook in ipairs(plan_hooks) do names[hook.name] = hook end
  local process, message = require("moonbox.core").servant(handler(plan_hooks), M.MEMORY)
  if not process then return nil, "hooks: " .. message end
  return setmetatable({ process = process, names = names }, Servant)
end

--- Whether there is a hook of this name.
function Servant:has(name) return self.names[name] ~= nil end

local LOST = { ETIME = "was still running after %g s and was stopped", EPIPE = "ended its process" }

--- Calls a hook: as M.call. One that overran has lost its process, and every later call fails.
function Servant:call(name, arg)
  local hook = self.names[name]
  local text, message, code = self.process:ask(json.encode { hook = name, arg = arg }, M.SECONDS)
  if not text then
    local sentence = LOST[code] and LOST[code]:format(M.SECONDS) or "failed: " .. message
    return nil, ("%s:%d: the hook `%s` %s"):format(hook.file, hook.line, name, sentence)
  end
  local answer = json.decode(text)
  return answer.answers, answer.why
end

function Servant:close()
  self.process:close()
end

return M
