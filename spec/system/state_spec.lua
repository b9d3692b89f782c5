-- The state directory: what is said where it isn't known, can't be read, or has no room. A doubt is no empty list.
local box = require "support.box"
local mode = require "support.mode"

local function try(state, command)
  local done = box.shell(("MOONBOX_STATE=%s %s %s </dev/null"):format(state, box.program, command))
  return { done.code, done.stdout, done.stderr }
end

describe("the state directory", function()
  setup(box.enter)
  teardown(box.leave)

  it("that isn't there has no sandboxes; one that can't be looked into may have some", function()
    for _, command in ipairs { "list", "gc", "gc --ended" } do
      assert.same({ 0, "", "" }, try(box.home .. "/none", command))
      assert.same({ 69, "", "moonbox: list /dev/null/sandboxes: Not a directory\n" }, try("/dev/null", command))
      assert.same({ 64, "", "moonbox: MOONBOX_STATE must be an absolute path; it is here\n" }, try("here", command))
    end
    assert.same({ 125, "", ("moonbox: there is no sandbox w in %s/none/sandboxes\n"):format(box.home) },
      try(box.home .. "/none", "stop w"))
    assert.same({ 125, "", "moonbox: look at /dev/null/sandboxes/w: Not a directory\n" }, try("/dev/null", "stop w"))
  end)

  it("of an ordinary user has to be known", function()
    mode.need("user", "root has /var/lib/moonbox")
    for _, command in ipairs { "list", "gc", "run hello", "exec -- true" } do
      local done = box.shell(("env -u HOME -u XDG_STATE_HOME -u MOONBOX_STATE %s %s"):format(box.program, command))
      assert.is_not.equal(0, done.code)
      assert.equal("moonbox: no state directory is known: set HOME or MOONBOX_STATE to an absolute path\n", done.stderr)
    end
  end)

  it("is tried where the next start sweeps what a killed attempt has left", function()
    local root = box.home .. "/tried"
    assert.equal(0, try(root, "run hello")[1])
    assert.equal(root .. "/boxes", require("moonbox.disk").trial(root))
    assert.equal(box.home, require("moonbox.disk").trial(box.home .. "/absent"))
    mode.need("user", "root may write anywhere")
    box.shell("chmod 500 " .. root .. "/boxes")
    assert.matches("make a folder in " .. root .. "/boxes: EACCES", try(root, "doctor")[2], 1, true)
    box.shell("chmod 700 " .. root .. "/boxes")
    assert.is_nil(try(root, "doctor")[2]:find("make a folder in", 1, true))
  end)

  it("that is full is told of by the file that found no room, and not taken for a kill", function()
    mode.need("root", "a filesystem of a few pages is mounted")
    local script = [[mount -t tmpfs -o size=256k small %s && export MOONBOX_STATE=%s/state || exit
      fill() { dd if=/dev/zero of=%s/fill bs=4k 2>/dev/null; }
      %m create --id w; fill; %m create 2>&1 | sed 's/\.new-[0-9a-f]*/NEW/'; %m stop w; %m list | tail -n 1; rm %s/fill
      %m create --id v; %m destroy v w; %m list]]
    local folder = box.home .. "/small"
    assert.equal(0, box.shell("mkdir " .. folder).code)
    local done = box.shell("unshare -m sh -c " .. box.quote(script:gsub("%%%l", { ["%s"] = folder, ["%m"] = box.program })))
    local lines = {}
    for line in done.stdout:gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.equal("w", lines[1], done.stderr)
    assert.equal(("moonbox: write %s/state/sandboxes/NEW/lock: No space left on device"):format(folder), lines[2])
    assert.matches("^w +offline +ended .* its supervisor was killed, or found no room for its last word$", lines[3])
    assert.equal("v", lines[4])
    assert.equal(4, #lines, done.stdout .. done.stderr)
  end)
end)
