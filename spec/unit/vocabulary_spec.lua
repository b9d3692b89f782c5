local vocabulary = require "moonbox.vocabulary"

describe("the vocabulary", function()
  it("has a sentence for every word", function()
    for _, entry in ipairs(vocabulary.entries()) do
      local says = entry.says
      assert.is_string(says, entry.word)
      assert.is_true(#says >= 20 or entry.kind == "value", entry.word .. " says too little")
      assert.truthy(says:match("^%u") and says:match("%.$"), entry.word .. ": " .. says)
      assert.is_nil(says:match("[%c]"), entry.word)
    end
  end)

  it("has a type for every key, and a range in the right order", function()
    for _, entry in ipairs(vocabulary.entries()) do
      if entry.kind == "key" then assert.is_string(entry.type, entry.word) end
      if entry.min and entry.max then assert.is_true(entry.min < entry.max, entry.word) end
      if entry.type == "choice" then assert.is_true(#entry.choices >= 1, entry.word) end
      if entry.choices and entry.default then
        local found = false
        for _, choice in ipairs(entry.choices) do found = found or choice == entry.default end
        assert.is_true(found, entry.word .. "'s default is none of its choices")
      end
    end
  end)

  it("has no word twice in one place", function()
    local seen = {}
    for _, entry in ipairs(vocabulary.entries()) do
      local id = entry.place .. "/" .. entry.word .. "/" .. entry.kind
      assert.is_nil(seen[id], id)
      seen[id] = true
    end
  end)

  it("gives luacheck the words of each kind of file", function()
    local function set(kind)
      local out = {}
      for _, name in ipairs(vocabulary.luacheck_globals(kind)) do out[name] = true end
      return out
    end
    local policy, pipeline, group = set "policy", set "pipeline", set "group"
    assert.is_true(policy.allow and policy.GB and policy.ecosystem and policy.pairs)
    assert.is_true(pipeline.step and pipeline.only and pipeline.patch and pipeline.minutes)
    assert.is_true(group.group)
    assert.is_nil(policy.step)
    assert.is_nil(pipeline.allow)
    assert.is_nil(group.GB)
    assert.is_nil(policy.memory)
  end)

  it("finds keys by their place", function()
    assert.equal("size", vocabulary.keys("limits").memory.type)
    assert.same({}, vocabulary.keys("nowhere"))
    assert.equal(600, vocabulary.default("limits", "time"))
  end)
end)
