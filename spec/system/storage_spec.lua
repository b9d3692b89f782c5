-- The writable files that boxes share one after the other.
package.path = "./spec/?.lua;" .. package.path
local box = require "support.box"

describe("a storage folder", function()
  local folder

  before_each(function()
    box.enter()
    folder = box.home .. "/storage"
    box.shell("mkdir -m 700 " .. folder)
  end)

  after_each(function() box.leave() end)

  it("carries files from one box to the next, is refused to two at once, and goes when it is released", function()
    local sandbox = require "moonbox.sandbox"
    local plan = box.plan(nil, "base")
    local first = assert(sandbox.open(plan, { storage = folder }))
    assert.equal(0, first:exec({ run = { "sh", "-c", "echo kept > /workspace/file" } }).code)
    local second, message, code = sandbox.open(plan, { storage = folder })
    assert.is_nil(second)
    assert.equal("another sandbox is open on the storage " .. folder, message)
    assert.equal(125, code)
    first:close()
    local third = assert(sandbox.open(plan, { storage = folder }))
    assert.equal("kept\n", third:exec({ run = { "cat", "/workspace/file" } }).stdout)
    third:close()
    assert.is_true(sandbox.release(folder))
    assert.equal("", box.shell("ls -A " .. folder).stdout)
  end)
end)
