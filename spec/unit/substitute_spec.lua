local substitute = require "moonbox.substitute"

describe("$name", function()
  it("is replaced whole inside one argument", function()
    local values = { repo = "a b; rm -rf / $ref", ref = "HEAD", n = 3 }
    assert.equal("a b; rm -rf / $ref", substitute.expand("$repo", values))
    assert.equal("x=HEAD!", substitute.expand("x=$ref!", values))
    assert.equal("HEAD3", substitute.expand("${ref}$n", values))
    assert.equal("$5 $ref", substitute.expand("$$5 $$ref", values))
    assert.equal("", substitute.expand("", values))
    assert.equal("%1", substitute.expand("$p", { p = "%1" }))
  end)

  it("must name something", function()
    for _, text in ipairs { "$", "a$", "$ x", "$5", "${", "${a", "${}", "$-" } do
      local value, why = substitute.expand(text, {})
      assert.is_nil(value, text)
      assert.truthy(why:find("names nothing", 1, true), text)
    end
    local value, why = substitute.expand("$missing", {})
    assert.is_nil(value)
    assert.equal("there is no value for $missing", why)
  end)

  it("lists its names", function()
    assert.same({ "a", "b", "a" }, substitute.names("$a-${b}$$c$a"))
    assert.same({}, substitute.names("plain"))
  end)

  it("stands for several arguments only as a command, and alone", function()
    local values = { agent = { "codex", "exec" }, prompt = "fix it" }
    assert.same({ "codex", "exec", "fix it" }, substitute.run({ "$agent", "$prompt" }, values))
    assert.same({ "env", "codex", "exec" }, substitute.run({ "env", "${agent}" }, values))
    local arguments, why = substitute.run({ "sh", "-c", "exec $agent" }, values)
    assert.is_nil(arguments)
    assert.equal("$agent is a command of several arguments, so it stands alone as one argument", why)
  end)

  it("splits a command at spaces and nothing else", function()
    assert.same({ "codex", "exec", '"a', 'b"', "$x", ";" }, substitute.split('  codex  exec "a b" $x\t; '))
    assert.is_nil(substitute.split("  "))
  end)
end)
