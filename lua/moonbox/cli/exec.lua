--- `moonbox exec`: one command in a fresh sandbox, or in one that `moonbox create` made.
local core = require "moonbox.core"

local sys = core.sys

local M = {
  about = "runs one command in a fresh sandbox, or in the one with an id",
  usage = "moonbox exec [--policy P] [--NAME=VALUE]… [--bind HOST[:INSIDE][:rw]]… [--env NAME[=VALUE]]… "
    .. "[--cwd DIR] [--time SECONDS] [--tty|--no-tty] [--json] [--] COMMAND…\n"
    .. "     or moonbox exec ID [--timeout TIME] [-it|--no-tty] [--env NAME[=VALUE]]… [--cwd DIR] "
    .. "[--user agent] [--no-log] -- COMMAND…",
  options = {
    { "--policy P", "a shipped policy's name or a file; `offline` when left out" },
    require("moonbox.cli.options").PARAMETER,
    { "--bind H[:I][:rw]", "shows the host's H at I, read-only unless `:rw`; may be repeated" },
    { "--env NAME[=VALUE]", "sets a variable, or passes the caller's on; may be repeated" },
    { "--cwd DIR", "the working directory inside" },
    { "--time SECONDS", "ends the command after this time; only ever shorter than the policy's" },
    { "--tty, --no-tty", "a terminal of its own; by default when stdin and stdout are terminals" },
    { "--timeout TIME", "of a sandbox with an id: ends the command after this time, such as 300s or 5m" },
    { "-it", "of a sandbox with an id: the same as --tty" },
    { "--user agent", "of a sandbox with an id: its one user, whom commands have in any case" },
    { "--no-log", "of a sandbox with an id: `moonbox logs` is not to show the command" },
    { "--json", "prints events on stderr, one JSON object a line, `result` last" },
  },
}

local USAGE, UNAVAILABLE = 64, 69

local kinds = { policy = "value", bind = "list", env = "list", cwd = "value", time = "value", tty = "flag",
  ["no-tty"] = "flag", json = "flag" }

local function say(text) require("moonbox.tell").say(text) end

local function environment(list)
  local out = {}
  for _, item in ipairs(list or {}) do
    local name, value = item:match("^([%a_][%w_]*)=(.*)$")
    if not name then
      name, value = item:match("^([%a_][%w_]*)$"), os.getenv(item)
      if not name then return nil, "--env takes NAME or NAME=VALUE, not " .. item end
      if not value then return nil, "--env: " .. name .. " is not set here" end
    end
    out[name] = value
  end
  return out
end

-- The policy is read beside this process, which meanwhile looks at the host. Returns a plan and what is known of the
-- policy's files, or nil and an exit code.
local function plan_for(options)
  local finish = require("moonbox.plan").begin(options.policy or "offline",
    require("moonbox.cli.options").for_plan(options, kinds))
  require("moonbox.sandbox").prepare()
  local plan, diagnostics, files = finish()
  if not plan then return nil, require("moonbox.policy").complain(diagnostics) end
  for _, text in ipairs(options.bind or {}) do
    local row, why = require("moonbox.bind_option").row(text)
    if not row then
      say(why)
      return nil, USAGE
    end
    table.insert(plan.mounts, row)
  end
  return plan, files
end

-- What is asked for beside the plan: { env, time, tty }, or nil and a sentence.
local function request(options)
  local env, why = environment(options.env)
  if not env then return nil, why end
  local time = options.time and tonumber(options.time)
  if options.time and not (time and time > 0 and time < math.huge) then
    return nil, "--time takes a number of seconds above 0, not " .. options.time
  end
  local terminal = sys.isatty(0) and sys.isatty(1)
  if options.tty and not terminal then return nil, "--tty needs a terminal on stdin and stdout" end
  return { env = env, time = time, tty = terminal and not options["no-tty"] }
end

-- A command that has a network leaves a record, as a task does, so that `moonbox flows` can show what it reached.
-- Returns { task, record, flows }, or nil; and a sentence when the record can't be made.
local function open_record(plan)
  if plan.network.mode == "none" then return nil end
  local tasks, records = require "moonbox.task", require "moonbox.record"
  local root, message = tasks.root()
  if not root then return nil, message end
  tasks.reconcile(root, records.mark_lost)
  local task
  task, message = tasks.create(root)
  if not task then return nil, "can't make the record: " .. message end
  local record
  record, message = records.open(task)
  if record then
    local saved
    saved, message = record:save { state = "running", started = record.time(), policy = plan.policy, steps = {} }
    if saved then return { task = task, record = record, flows = task:file("flows.jsonl") } end
    record:close()
  end
  task:finish()
  return nil, "can't make the record: " .. message
end

-- Ends the record; one of a sandbox that was never there goes. Returns what was reached (moonbox.flows.summary).
local function close_record(kept, outcome, started)
  if not kept then return nil end
  if not started then
    kept.record:close()
    kept.task:finish()
    sys.remove_tree(kept.task.path)
    return nil
  end
  local network = require("moonbox.flows").summary(kept.flows)
  kept.record:save { state = outcome.code == 0 and "passed" or "failed", code = outcome.code, network = network,
    sentence = outcome.sentence, seconds = outcome.seconds, ended = kept.record.time() }
  kept.record:close()
  if kept.record:trouble() then say("the record of the command is not whole: " .. kept.record:trouble()) end
  kept.task:finish()
  return network
end

local function report(options, box, outcome, kept, network)
  if outcome.sentence then say(outcome.sentence) end
  if network and network.denied > 0 then
    say(("network: %s; `moonbox flows %s` shows each"):format(network.sentence, kept.task.id))
  end
  if not options.json then return end
  local event = { event = "result", id = box and box.id, code = outcome.code, ended_by = outcome.ended_by,
    sentence = outcome.sentence, seconds = outcome.seconds, usage = outcome.usage, task = box and kept and kept.task.id,
    network = network and { hosts = network.hosts, denied = network.denied, up = network.up, down = network.down } }
  sys.write(2, require("moonbox.json").encode(event) .. "\n")
end

local function run(box, command, wanted, options)
  local pass = require("moonbox.sandbox").INHERIT
  if wanted.tty then sys.raw(0) end
  local outcome, message, code = box:exec { run = command, env = wanted.env, cwd = options.cwd, time = wanted.time,
    tty = wanted.tty, stdin = pass, stdout = pass, stderr = pass, forward = true, last = true }
  if wanted.tty then sys.cooked() end
  return require("moonbox.stdio").delivered(outcome) or { code = code, sentence = message }
end

-- What the monitor tells: warnings to people, everything but samples to programs.
local function listener(plan, options)
  if not options.json and #(plan.hooks or {}) == 0 then return nil end
  return function(event)
    if event.event == "usage" then return end
    if options.json then return sys.write(2, require("moonbox.json").encode(event) .. "\n") end
    if event.event == "warning" then
      say(("warning: %s (%s)"):format(event.text or "of the policy", event.rule))
    end
  end
end

-- With --json the events of moonbox.sandbox.open say it.
local function tell_published(box, options)
  for _, one in ipairs(box and not options.json and box.published or {}) do
    say(("port %d of the sandbox is %s here (%s)"):format(one.port, one.at, one.rule))
  end
end

-- Opens a sandbox for the plan, runs the command and ends both. Returns the exit code.
local function run_plan(plan, files, command, wanted, options)
  local kept, unkept = open_record(plan)
  if unkept then
    say(unkept)
    return UNAVAILABLE
  end
  local box, message, code = require("moonbox.sandbox").open(plan, { signals = true, early = true,
    on_event = listener(plan, options), flows = kept and kept.flows, policy_files = files })
  tell_published(box, options)
  local outcome = box and run(box, command, wanted, options) or { code = code, sentence = message }
  local closed, trouble = true, nil
  if box then closed, trouble = box:close() end
  report(options, box, outcome, kept, close_record(kept, outcome, box ~= nil))
  if not closed then say(trouble) end
  return outcome.code
end

--- Whether arguments name a sandbox that is there: `ID -- COMMAND`, with options between the two. A command without
-- options before it has no `--` behind its first word.
function M.names_sandbox(args)
  if not args[1] or args[1]:sub(1, 1) == "-" then return false end
  for i = 2, #args do
    if args[i] == "--" then return true end
  end
  return false
end

-- Runs a command in the sandbox that the first argument names.
local function run_in(args)
  local name = table.remove(args, 1)
  local short = { ["-t"] = "--tty", ["-it"] = "--tty", ["-ti"] = "--tty", ["-i"] = "--stdin" }
  for i, argument in ipairs(args) do
    if argument == "--" then break end
    args[i] = short[argument] or argument
  end
  local options, command = require("moonbox.cli.options").parse(args, { time = "value", timeout = "value",
    env = "list", cwd = "value", user = "value", tty = "flag", ["no-tty"] = "flag", stdin = "flag",
    ["no-log"] = "flag" },
    { stop_at_command = true })
  if options and #command == 0 then options, command = nil, "exec needs a command; usage: " .. M.usage end
  if not options then
    say(command)
    return USAGE
  end
  return require("moonbox.exec_in").run(name, options, command, environment)
end

function M.run(args)
  if M.names_sandbox(args) then return run_in(args) end
  local options, command = require("moonbox.cli.options").parse(args, kinds,
    { stop_at_command = true, parameters = true })
  if not options then
    say(command)
    return USAGE
  end
  if #command == 0 then
    say("exec needs a command; usage: " .. M.usage)
    return USAGE
  end
  local wanted, why = request(options)
  if not wanted then
    say(why)
    return USAGE
  end
  local plan, files = plan_for(options)
  if not plan then return files end
  return run_plan(plan, files, command, wanted, options)
end

return M
