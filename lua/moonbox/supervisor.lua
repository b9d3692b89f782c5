--- The supervisor of a sandbox by id: the process that `moonbox create` leaves behind.
--
-- It holds the lock of the sandbox's folder (descriptor 3, core/detach), opens the sandbox, says on descriptor 4
-- how that went, serves its control socket, and ends with the sandbox. Commands of clients pass through C alone
-- (core/control); what is here is everything else: time, limits, the monitor, the record, and what clients ask.
local core = require "moonbox.core"
local failpoint = require "moonbox.failpoint"
local json = require "moonbox.json"
local records = require "moonbox.record"
local sandboxes = require "moonbox.sandboxes"
local supervise = require "moonbox.supervise"

local sys = core.sys

local M = {}

-- Seconds between looks at whether a sandbox that is being stopped has ended by itself.
local STOPPING = 0.05

local function reply(self, client, answer)
  if client then self.control:reply(client, json.encode(answer)) end
end

local function save(self, fields)
  local saved, message = self.record:save(fields)
  if not saved then sys.write(2, "moonbox: " .. message .. "\n") end
  return saved, message
end

local ask = {}

function ask.nothing() return {} end

function ask.stats(self, run)
  local use = self.box.monitor:sample(run.seen, sys.monotonic())
  local limits = self.box.plan.limits
  return { state = self.record.data.state, usage = require("moonbox.monitor").plain(use),
    commands = self.box.running:commands(),
    limits = { cpus = limits.cpus, memory = limits.memory, disk = limits.disk, time = limits.time,
      processes = limits.processes } }
end

function ask.pause(self, run)
  if run.ended_by then return { error = "the sandbox is being stopped" } end
  if self.record.data.state == "paused" then return {} end
  local done, why = self.box.running:freeze(true)
  if not done then return { error = "the sandbox can't be paused here: " .. why, code = 69 } end
  self.box.monitor.frozen = true
  save(self, { state = "paused" })
  self.record:event("paused")
  return {}
end

function ask.resume(self, run)
  if run.ended_by then return { error = "the sandbox is being stopped" } end
  local done, why = self.box.running:freeze(false)
  if not done then return { error = "the sandbox can't be resumed: " .. why, code = 69 } end
  local was = self.box.monitor.frozen
  self.box.monitor.frozen, self.box.monitor.thaw_at = nil, math.huge
  save(self, { state = "running" })
  if was then self.record:event("resumed") end
  return {}
end

-- Answered when the sandbox has ended.
function ask.stop(self, run, request, client)
  table.insert(self.waiting, client)
  local grace = tonumber(request.grace) or self.box.plan.limits.grace
  if run.ended_by then
    run.kill_at = math.min(run.kill_at or math.huge, sys.monotonic() + grace)
  else
    run.stop(run, "stopped", request.destroy and "the sandbox was destroyed" or "the sandbox was stopped", grace)
  end
end

-- The gateway holds the on.connect functions and the resolver that it was started with; what it can't take on is
-- refused. A hook of its own that the new policy lacks stays, as it can only narrow.
local function beyond_gateway(self, request)
  local mine = {}
  for _, hook in ipairs(self.box.plan.hooks) do mine[hook.path .. ":" .. hook.line] = true end
  for _, hook in ipairs(request.hooks or {}) do
    local file = hook.name == "connect" and sys.stat(hook.path)
    if hook.name == "connect" and not (mine[hook.path .. ":" .. hook.line] and file
      and file.mtime < self.record.data.created_seconds) then
      return ("%s:%s: on.connect is not the one that the sandbox was created with"):format(hook.file, hook.line)
    end
  end
  if request.network.mode ~= "none" and request.network.resolver ~= self.box.plan.network.resolver then
    return "its resolver is not the one that the sandbox was created with"
  end
end

function ask.network(self, _, request)
  local network = request.network
  if not self.networked then
    return { error = "the sandbox was created without a network, and can't get one later", code = 69 }
  end
  local beyond = beyond_gateway(self, request)
  if beyond then return { error = "the old rules stay: " .. beyond .. "; create another sandbox", code = 69 } end
  local encoded, rules, message = pcall(core.rules, network)
  if not encoded or not rules then
    return { error = "the rules can't be used: " .. tostring(encoded and message or rules), code = 65 }
  end
  local set, why = self.box.running:set_rules(rules:bytes())
  if not set then return { error = "the old rules stay: " .. why, code = 69 } end
  self.box.plan.network = network
  local text = require("moonbox.cli.plan").text(self.box.plan)
  sys.write_file(self.folder:file("plan.json"), text, 384)
  self.record:event("network_set", { policy = request.policy })
  return {}
end

local function on_request(self, run, event)
  local request = json.decode(event.text)
  local handler = type(request) == "table" and ask[request.ask]
  local answer = { error = "the sandbox's supervisor does not know this request", code = 64 }
  if handler then answer = handler(self, run, request, event.client) end
  if answer then reply(self, event.client, answer) end
end

local function on_stop(self, run)
  run.seen.processes = nil -- what was counted before does not tell of what runs now
  self.control:farewell(supervise.code(run.ended_by), run.sentence)
  if failpoint("end", "write that it is being stopped") then save(self, { state = "stopping" }) end
end

-- While it is being stopped: whether nothing is left running, so that the end of the grace need not be waited for.
local function stopping(run)
  if not run.ended_by or run.over then return end
  local now = sys.monotonic()
  run.spec.on_tick = run.spec.on_tick or function() end -- looks ten times a second from now on
  if run.seen.processes == 0 then
    run.kill_at = now
  elseif now < run.kill_at and now >= (run.ask_at or 0) then
    run.ask_at, run.seen.processes = now + STOPPING, nil
    run.box.running:ask_usage()
  end
end

local function watch(self)
  local run = supervise.watch(self.box, 0, {}, sys.monotonic())
  run.on_request = function(_, event) on_request(self, run, event) end
  run.on_stop = function() on_stop(self, run) end
  while not run.over do
    local going, message = supervise.turn(run)
    if not going and not run.over then
      run.gone, run.over = message, true
    end
    stopping(run)
  end
  return run
end

-- The sandbox is over: what is left of it goes, and the record says how it ended. Returns the exit code.
local function finish(self, run)
  local usage = supervise.count(run)
  local by = run.ended_by or (run.gone and "killed") or "killed"
  local sentence = run.sentence or run.gone or run.not_started
  local code = supervise.code(by)
  self.control:farewell(code, sentence or "the sandbox was ended")
  local closed, message = failpoint("end", "close the sandbox")
  local ended, why = self.box:close()
  closed, message = closed and ended, message or why
  local network = require("moonbox.flows").summary(self.folder:file("flows.jsonl"))
  self.record:event("ended", { ended_by = by, sentence = sentence, usage = usage })
  if not failpoint("end", "write that it has ended") then return 1 end
  save(self, { state = "ended", ended = records.time(), ended_by = by, sentence = sentence, code = code, usage = usage,
    network = network, unclean = not closed and message or nil })
  for _, client in ipairs(self.waiting) do reply(self, client, {}) end
  self.control:close()
  return 0
end

-- What of init is not as planned, before anything of a tenant runs: a sentence, or nil.
local function weakness(self, plan)
  local one = require("moonbox.posture").init(self.box.running:pid(), plan, self.box.id)
  local first = one and one.differences[1]
  if not one then return "init can't be looked at" end
  return first and ("%s of init is %s, not %s"):format(first.field, first.found, first.expected)
end

-- Opens the sandbox and its socket. Returns true, or nil, sentence, exit code.
local function open(self, plan)
  local fine, message = failpoint("supervisor", "open the sandbox")
  local code
  if not fine then return nil, message, 125 end
  self.box, message, code = require("moonbox.sandbox").open(plan, { signals = true, leaves = true,
    id = self.record.data.box, flows = self.folder:file("flows.jsonl"), on_event = function(event)
      local fields = {}
      for key, value in pairs(event) do if key ~= "event" then fields[key] = value end end
      self.record:event(event.event, fields)
    end })
  if not self.box then return nil, message, code end
  fine, message = failpoint("supervisor", "make the socket")
  if fine then self.control, message = core.control.listen(self.folder.path, plan.limits.grace) end
  if not self.control then
    self.box:close()
    return nil, message, 125
  end
  fine, message = failpoint("supervisor", "look at init")
  local weak = not fine and message or weakness(self, plan)
  if weak then
    self.box:close()
    return nil, "the sandbox is not what its plan asks for: " .. weak, 125
  end
  self.box.running:serve(self.control)
  self.networked = plan.network.mode ~= "none"
  local saved
  saved, message = failpoint("supervisor", "write that it runs")
  if saved then
    local holder = require("moonbox.holder").read(self.folder.path)
    saved, message = self.record:save { state = "running", pid = holder.pid, pid_started = holder.pid_started,
      boot = holder.boot, started = records.time() }
  end
  if saved then
    self.record:event("started", { policy = plan.policy, held = require("moonbox.holding").levels(plan) })
    return true
  end
  self.box:close()
  self.control:close()
  return nil, message, 125
end

--- The program `moonbox supervise ID FOLDER`, started by moonbox.create and by nobody else. Returns an exit code.
function M.main(id, path)
  local self = { folder = sandboxes.folder(id, path), waiting = {} }
  local data, plan
  local fine, message = require("moonbox.holder").write(path)
  if fine then fine, message = failpoint("supervisor", "read the record") end
  if fine then data, message = sandboxes.read(path) end
  if data then plan, message = sandboxes.plan(path) end
  if plan then self.record, message = records.open(self.folder, { data = data }) end
  local opened, code = nil, 125
  if self.record then opened, message, code = open(self, plan) end
  core.control.tell(json.encode(opened and { ready = true } or { error = message, code = code }))
  if not opened then return code end
  return finish(self, watch(self))
end

return M
