local core = require "moonbox.core"
local record = require "moonbox.record"
local runs = require "spec.support.runs"
local task = require "moonbox.task"

local sys = core.sys

describe("a task's id", function()
  it("sorts by time and ends in random digits", function()
    assert.equal("20261123-201500-3f9a1c", task.new_id(1795464900.9, "3f9a1c"))
    assert.is_true(task.valid(task.new_id()))
    assert.are_not.equal(task.new_id(0), task.new_id(0))
  end)

  it("is nothing else, least of all a path", function()
    for _, id in ipairs { "", ".", "..", "../x", "20261123-201500-3f9a1", "20261123-201500-3f9a1cc",
      "20261123-201500-3F9A1C", "20261123-201500-3f9a1c/", "x20261123-201500-3f9a1c", "20261123-201500-3f9a1c\n" } do
      assert.is_false(task.valid(id), id)
    end
    assert.has_error(function() task.dir("/state", "../../etc") end)
  end)
end)

describe("the state directory", function()
  local function root(env, euid)
    return task.root(function(name) return env[name] end, euid)
  end

  it("is root's, the user's or the one that MOONBOX_STATE names", function()
    assert.equal("/var/lib/moonbox", root({ HOME = "/root" }, 0))
    assert.equal("/home/a/.local/state/moonbox", root({ HOME = "/home/a" }, 1000))
    assert.equal("/x/moonbox", root({ HOME = "/home/a", XDG_STATE_HOME = "/x" }, 1000))
    assert.equal("/home/a/.local/state/moonbox", root({ HOME = "/home/a", XDG_STATE_HOME = "x" }, 1000))
    assert.equal("/y", root({ HOME = "/home/a", MOONBOX_STATE = "/y" }, 0))
  end)

  it("is refused where it would depend on the current directory, or where there is none", function()
    local none, message = root({ MOONBOX_STATE = "state" }, 0)
    assert.is_nil(none)
    assert.equal("MOONBOX_STATE must be an absolute path; it is state", message)
    assert.is_nil(root({}, 1000))
  end)
end)

describe("a task on disk", function()
  local folder

  before_each(function() folder = runs.folder() end)
  after_each(function() runs.remove(folder) end)

  it("is private, and its lock goes with its end", function()
    local one = assert(task.create(folder))
    assert.equal(448, sys.stat(one.path).mode)
    assert.equal("directory", sys.stat(one:file("fs")).kind)
    assert.is_nil((sys.lock(one:file("lock"))))
    assert(one:finish())
    assert.is_nil(sys.lstat(one:file("fs")))
    assert.is_nil(sys.lstat(one:file("lock")))
  end)

  it("names logs without leaving its directory", function()
    assert.equal("logs/01-clone.log", task.log_name(1, "clone"))
    assert.equal("logs/12-.._.._etc_passwd.log", task.log_name(12, "../../etc/passwd"))
  end)

  it("is marked lost when nobody holds its lock, and only then", function()
    local alive, dead = assert(task.create(folder)), assert(task.create(folder))
    for _, one in ipairs { alive, dead } do
      local written = assert(record.open(one))
      assert(written:save { state = "running" })
      written:close()
    end
    dead.lock:close() -- what the kernel does when moonbox dies
    assert.same({ dead.id }, task.reconcile(folder, record.mark_lost))
    assert.same({}, task.reconcile(folder, record.mark_lost))
    local json = require "moonbox.json"
    assert.equal("lost", json.decode(runs.read(dead:file("task.json"))).state)
    assert.equal("running", json.decode(runs.read(alive:file("task.json"))).state)
    assert.is_nil(sys.lstat(dead:file("fs")))
    assert.is_not_nil(sys.lstat(alive:file("fs")))
    assert.equal("lost", runs.events(dead.path)[1].event)
    alive:finish()
  end)

  it("leaves alone what isn't a task and what has no record yet", function()
    local fresh = assert(task.create(folder))
    fresh.lock:close()
    sys.mkdirs(folder .. "/tasks/notes", 448)
    runs.write(folder .. "/tasks/notes/lock", "")
    assert.same({}, task.reconcile(folder, record.mark_lost))
    assert.is_not_nil(sys.lstat(fresh:file("fs")))
    assert.is_not_nil(sys.lstat(folder .. "/tasks/notes/lock"))
  end)
end)
