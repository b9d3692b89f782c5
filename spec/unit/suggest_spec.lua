local suggest = require "moonbox.suggest"

describe("did-you-mean", function()
  local known = { "allow", "allow_internal", "deny", "memory", "read_only", "read_write", "cpus" }

  it("finds slips", function()
    for wrong, right in pairs { alow = "allow", allwo = "allow", memmory = "memory", read_olny = "read_only",
      Deny = "deny", cpu = "cpus" } do
      assert.equal(right, suggest.nearest(wrong, known))
    end
  end)

  it("stays silent when nothing is near", function()
    for _, word in ipairs { "os", "x", "network", ("a"):rep(1000) } do
      assert.is_nil(suggest.nearest(word, known))
    end
    assert.equal("", suggest.tail("os", known))
  end)

  it("is the same whatever the order of the words", function()
    assert.equal("cat", suggest.nearest("cax", { "cay", "cat" }))
    assert.equal("cat", suggest.nearest("cax", { "cat", "cay" }))
  end)
end)
