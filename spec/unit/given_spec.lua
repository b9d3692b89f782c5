local given = require "moonbox.given"
local runs = require "spec.support.runs"

describe("parameters", function()
  local folder

  setup(function()
    folder = runs.folder()
    runs.shell(([[set -e; cd '%s'; export GIT_CONFIG_GLOBAL=/dev/null
      git init -q tree; echo secret > tree/.env
      git init -q --bare bare.git
      git init -q lender; git clone -q --shared lender borrower 2>/dev/null
      mkdir linked plain; echo 'gitdir: ../tree/.git' > linked/.git; : > x.bundle]]):format(folder))
  end)
  teardown(function() runs.remove(folder) end)

  local function one(kind, text, more)
    local need = more or {}
    need.name, need.kind = "x", kind
    local values, sentences = given.collect({ need }, { x = text })
    return values and values.x, sentences and sentences[1]
  end

  it("that are missing, unknown or wrong are told all at once", function()
    local values, sentences = given.collect({ { name = "prompt", kind = "text", about = "what to do" },
      { name = "tries", kind = "number" } }, { promt = "x", tries = "many" })
    assert.is_nil(values)
    assert.same({ "the pipeline has no parameter --promt; did you mean --prompt?",
      "--prompt=… is missing: what to do", "--tries takes a number, not many" }, sentences)
  end)

  it("take their default, and only when they are not given", function()
    assert.equal("d", one("text", nil, { default = "d" }).text)
    assert.equal("", one("text", "", { default = "d" }).text)
    assert.equal("5", one("number", nil, { default = 5 }).text)
  end)

  it("of number and choice are checked", function()
    assert.equal("-2.5", one("number", "-2.5").text)
    for _, text in ipairs { "0x10", "1e3", "nan", "", " 1", "1 " } do assert.is_nil((one("number", text))) end
    assert.equal("--x is at most 3, not 4", select(2, one("number", "4", { max = 3 })))
    assert.equal("--x is one of fast, slow, not fats; did you mean `fast`?",
      select(2, one("choice", "fats", { choices = { "fast", "slow" } })))
  end)

  it("of command are split at spaces and nothing else", function()
    assert.same({ "codex", "exec", "'a", "b'", "$(x)" }, one("command", " codex exec  'a b' $(x)").words)
    assert.is_nil((one("command", "  ")))
  end)

  it("of repository show git's own directory and never the files beside it", function()
    local value = assert(one("repository", folder .. "/tree"))
    assert.equal("file:///source/x", value.text)
    assert.equal(folder .. "/tree/.git", value.mount.source)
    assert.equal("/source/x/.git", value.mount.target)
    assert.is_true(value.mount.read_only)
    value = assert(one("repository", folder .. "/bare.git", { at = "/in" }))
    assert.equal("file:///in", value.text)
    assert.equal("/in", value.mount.target)
    assert.equal("/source/x", one("repository", folder .. "/x.bundle").text)
  end)

  it("of repository may be addresses, which need no mount", function()
    for _, address in ipairs { "https://example.org/a.git", "ssh://git@example.org/a", "git@example.org:a/b.git" } do
      local value = assert(one("repository", address))
      assert.equal(address, value.text)
      assert.is_nil(value.mount)
    end
  end)

  it("of repository refuse options, programs and what a clone can't read", function()
    for _, text in ipairs { "--upload-pack=touch /tmp/x", "-x", "ext::sh -c true", folder .. "/plain",
      folder .. "/nothing", folder .. "/linked", folder .. "/borrower" } do
      local value, sentence = one("repository", text)
      assert.is_nil(value, text)
      assert.is_string(sentence)
    end
  end)

  it("of folder are directories, never the whole host", function()
    local value = assert(one("folder", folder .. "/plain/../plain"))
    assert.equal(folder .. "/plain", value.mount.source)
    assert.equal("/source/x", value.text)
    assert.is_true(value.mount.read_only)
    assert.is_nil((one("folder", "/")))
    assert.is_nil((one("folder", folder .. "/x.bundle")))
  end)
end)
