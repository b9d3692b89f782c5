--- Sandboxes by id, for programs: `local moonbox = require "moonbox"`.
--
--   local box = assert(moonbox.create { policy = "offline" })
--   print(box:exec { run = { "id", "-u" } }.stdout)
--   box:destroy()
--
-- Each has a supervisor of its own that outlives this program. For sandboxes that end with the program see
-- moonbox.sandbox.
local core = require "moonbox.core"
local json = require "moonbox.json"
local sandboxes = require "moonbox.sandboxes"

local sys = core.sys

local M = {}

local USAGE, NOT_STARTED = 64, 125

-- The program that supervises: this one, or the one that was built or installed with this module.
local function program()
  if package.preload["moonbox.main"] then return sys.executable() end
  local library = package.searchpath("moonbox.core", package.cpath)
  local folder = library and sys.realpath(library)
  folder = folder and folder:match("^(.*)/moonbox/core%.so$")
  for _, place in ipairs { "/../moonbox", "/../../../bin/moonbox" } do
    local path = folder and sys.realpath(folder .. place)
    local info = path and sys.stat(path)
    if info and info.kind == "file" then return path end
  end
  return nil, "the program moonbox isn't where it was built or installed beside this module"
end

local function plan_of(options)
  if options.plan then return options.plan end
  local parameters = {}
  for name, value in pairs(options.parameters or {}) do parameters[name] = tostring(value) end
  local plan, diagnostics = require("moonbox.plan").load(options.policy or "offline", { parameters = parameters })
  if plan then return plan end
  local lines = {}
  for i, one in ipairs(diagnostics) do lines[i] = require("moonbox.policy").format(one) end
  return nil, table.concat(lines, "\n"), require("moonbox.policy").code(diagnostics)
end

-- Starts the supervisor of a folder and waits for its word. Returns true, or nil, sentence, exit code.
local function start(folder)
  local path, message = program()
  if not path then return nil, message, NOT_STARTED end
  local said
  local fine, sentence = require("moonbox.failpoint")("create", "start the supervisor")
  if not fine then return nil, sentence, NOT_STARTED end
  said, message = core.control.detach(path, { path, "supervise", folder.id, folder.path }, folder.lock,
    folder:file("supervisor.log"))
  if not said then return nil, message, NOT_STARTED end
  local answer = json.decode(said)
  if type(answer) == "table" and answer.ready then return true end
  message = type(answer) == "table" and answer.error or said ~= "" and said
  if not message then
    local log = sys.read_file(folder:file("supervisor.log"), 65536) or ""
    message = "the sandbox's supervisor ended" .. (log ~= "" and ": " .. log:match("^[^\n]*") or "")
  end
  return nil, message, type(answer) == "table" and answer.code or NOT_STARTED
end

--- Creates a sandbox and waits until it is ready. Options: `policy`, a shipped policy's name or a path (`offline`
-- when left out), with `parameters`, name -> value, or `plan`, of moonbox.plan; `id`, lower-case letters, digits and
-- `-`, at most 40 (random when left out). Returns a box (moonbox.remote); or nil, sentence, exit code.
function M.create(options)
  options = options or {}
  if options.id ~= nil and not sandboxes.valid(options.id) then
    return nil, "an id has lower-case letters, digits and -, at most 40 and no - at the start", USAGE
  end
  local plan, wrong, bad = plan_of(options)
  if not plan then return nil, wrong, bad end
  local data = { version = 1, state = "creating", policy = plan.policy, box = sys.random_hex(8),
    created = require("moonbox.record").time(), created_seconds = sys.realtime() }
  if options.id then sandboxes.look(options.id) end
  local folder, message, code = sandboxes.create(options.id, data, plan)
  if not folder then return nil, message, code == "EEXIST" and USAGE or NOT_STARTED end
  local ready
  ready, message, code = start(folder)
  folder.lock:close()
  if ready then return require("moonbox.remote").new(folder.id, folder.path) end
  core.control.clean(folder.root .. "/boxes", data.box, sandboxes.SETTLE)
  sandboxes.remove(folder.id)
  return nil, message, code
end

--- The box of a sandbox that was created earlier, by anybody of this user. Returns it; or nil, sentence, exit code.
function M.open(id)
  if not sandboxes.valid(id) then return nil, tostring(id) .. " is no sandbox's id", USAGE end
  local data, message = sandboxes.look(id)
  if not data then return nil, message, NOT_STARTED end
  return require("moonbox.remote").new(id, (sandboxes.dir(id)))
end

--- All sandboxes, sorted by id: what their records say, and `alive`. Records of sandboxes whose supervisor has died
-- are put right first.
function M.list()
  local out = {}
  for _, id in ipairs(sandboxes.ids()) do
    local data, alive = sandboxes.look(id)
    if data then
      data.alive = alive
      out[#out + 1] = data
    end
  end
  return out
end

return M
