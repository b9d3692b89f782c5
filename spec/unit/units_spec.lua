local units = require "moonbox.units"

local function words()
  local told = {}
  local word = units.words(function(sentence)
    told[#told + 1] = sentence
    return nil
  end)
  return word, told
end

describe("units", function()
  it("carry their dimension and amount", function()
    local word = words()
    assert.same({ "size", 16 * 2 ^ 30 }, units.parts(16 * word("GB")))
    assert.same({ "size", 2 ^ 30 }, units.parts(word("GB") * 1))
    assert.same(units.parts(word("GiB")), units.parts(word("GB")))
    assert.same({ "time", 4 * 3600 }, units.parts(4 * word("hours")))
    assert.same({ "bandwidth", 50e6 }, units.parts(50 * word("Mbit")))
    assert.same({ "rate", 100, 60 }, units.parts(100 / word("minute")))
    assert.same({ "throughput", 100 * 2 ^ 20 }, units.parts(100 * word("MB") / word("second")))
    assert.same({ "time", 5400 }, units.parts(1 * word("hour") + 30 * word("minutes")))
    assert.same({ "size", 512 * 2 ^ 20 }, units.parts(word("GB") / 2))
    assert.is_nil(units.parts(4))
    assert.is_nil(word("parsec"))
  end)

  it("compare within a dimension", function()
    local word = words()
    assert.is_true(word("MB") < word("GB"))
    assert.is_true(60 * word("minutes") == 1 * word("hour"))
    assert.is_false(word("KB") == word("MB"))
  end)

  it("tell nonsense", function()
    local cases = {
      { function(w) return w("GB") * w("GB") end, "size * size" },
      { function(w) return w("GB") + w("hour") end, "size + time" },
      { function(w) return w("GB") + 1 end, "size + number" },
      { function(w) return 4 / w("GB") end, "number / size" },
      { function(w) return w("GB") .. "" end, "size .. string" },
      { function(w) return -w("GB") end, "size - size" },
      { function(w) return (1 / w("minute")) * 2 end, "rate * number" },
      { function(w) return w("GB") < w("hour") end, "size < time" },
      { function(w) return w("hour") / w("GB") end, "time / size" },
    }
    for _, case in ipairs(cases) do
      local word, told = words()
      case[1](word)
      assert.equal(case[2] .. " makes no sense; write a number times a unit", told[1])
    end
  end)

  it("can't be changed", function()
    local word, told = words()
    word("GB").amount = 1
    assert.equal("a size can't be changed", told[1])
    assert.is_false(getmetatable(word("GB")))
  end)

  it("are shown as an operator writes them", function()
    assert.equal("16 GB", units.show("size", 16 * 2 ^ 30))
    assert.equal("1.5 GB", units.show("size", 1.5 * 2 ^ 30))
    assert.equal("64 MB", units.show("size", 64 * 2 ^ 20))
    assert.equal("1000 bytes", units.show("size", 1000))
    assert.equal("4 hours", units.show("time", 14400))
    assert.equal("1 hour", units.show("time", 3600))
    assert.equal("1.5 minutes", units.show("time", 90))
    assert.equal("50 Mbit", units.show("bandwidth", 50e6))
    assert.equal("100 / minute", units.show("rate", { count = 100, seconds = 60 }))
    assert.equal("1.5 MB / second", units.show("throughput", 1.5 * 2 ^ 20))
    assert.equal("1000 / second", units.show("ops", 1000))
  end)
end)
