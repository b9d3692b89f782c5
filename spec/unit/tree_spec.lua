-- The removal of a tree that a tenant made.
local runs = require "spec.support.runs"
local core = require "moonbox.core"

describe("the removal of a tree", function()
  local folder

  before_each(function() folder = runs.folder() end)
  after_each(function() runs.remove(folder) end)

  local function shell(script)
    local code, _, err = runs.shell("cd " .. runs.quote(folder) .. " && " .. script)
    assert.equal(0, code, err)
  end

  it("opens locked directories, and neither follows nor touches what links lead to", function()
    shell("mkdir -p outside tree/locked/inner && echo x > outside/file && chmod 555 outside && echo y > tree/locked/inner/f "
      .. "&& ln -s ../../outside tree/locked/link && chmod 000 tree/locked/inner tree/locked")
    assert.is_true(core.sys.remove_tree(folder .. "/tree"))
    assert.is_nil(core.sys.lstat(folder .. "/tree"))
    assert.equal("x\n", runs.read(folder .. "/outside/file"))
    assert.equal(tonumber("555", 8), core.sys.stat(folder .. "/outside").mode)
    shell("chmod 755 outside")
  end)

  it("has no trouble with depth, locked or not, in bounded time, and leaves no part beside it", function()
    for _, lock in ipairs { "true", "find . -depth -type d -exec chmod 500 {} +" } do
      shell(("i=0; mkdir tree; (cd tree; while [ $i -lt 700 ]; do mkdir d; cd d; i=$((i+1)); done; echo x > f); (cd tree && %s)")
        :format(lock))
      assert.is_true(core.sys.remove_tree(folder .. "/tree"))
      assert.same({}, core.sys.list(folder))
    end
  end)

  it("moves aside only where nothing lies", function()
    shell(("mkdir -p tree/.removed-%d-0/x tree/a; touch tree/.removed-%d-1; cd tree/a; i=0; while [ $i -lt 450 ]; "
      .. "do mkdir d; cd d; i=$((i+1)); done; echo x > f"):format(core.sys.pid(), core.sys.pid()))
    assert.is_true(core.sys.remove_tree(folder .. "/tree"))
    assert.same({}, core.sys.list(folder))
  end)

  it("gives up with a sentence, and soon, where the host forbids it", function()
    if core.sys.euid() == 0 then return pending("root is forbidden nothing here") end
    shell("mkdir -p held/tree/x && chmod 555 held")
    local gone, message = core.sys.remove_tree(folder .. "/held/tree")
    shell("chmod 755 held")
    assert.is_nil(gone)
    assert.is_truthy(message:find("Permission denied", 1, true), message)
  end)
end)
