--- Where keys and items of table constructors stand in a Lua source.
-- Lua forgets the line of `cpus = 4` once it has run, and a message without it is half a message. This reads
-- the text's tokens (no evaluation) and keeps, for each pair of braces, the line of every key and every
-- positional item. It is only used for files that Lua itself could compile, so it need not judge syntax.
local M = {}

local openers = { ["function"] = true, ["if"] = true, ["do"] = true, ["repeat"] = true }
local closers = { ["end"] = true, ["until"] = true }

local function long_bracket(s, at)
  local level, from = s:match("^%[(=*)%[()", at)
  if not level then return nil end
  local _, stop = s:find("]" .. level .. "]", from, true)
  return (stop or #s) + 1
end

-- The next token from `at`: kind, text, start, after.
local function token(s, at)
  while true do
    at = s:match("^%s*()", at)
    if at > #s then return nil end
    if s:sub(at, at + 1) ~= "--" then break end
    at = long_bracket(s, at + 2) or (s:match("^[^\n]*()", at))
  end
  local after = s:match("^[%a_][%w_]*()", at)
  if after then return "name", s:sub(at, after - 1), at, after end
  local c = s:sub(at, at)
  if c == '"' or c == "'" then
    local i = at + 1
    while i <= #s and s:sub(i, i) ~= c do
      i = i + (s:sub(i, i) == "\\" and 2 or 1)
    end
    return "string", s:sub(at + 1, i - 1), at, i + 1
  end
  after = long_bracket(s, at)
  if after then return "string", "", at, after end
  after = s:match("^%.?%d[%w.]*()", at)
  if after then return "number", s:sub(at, after - 1), at, after end
  after = s:match("^[=~<>]=()", at) or s:match("^%.%.%.?()", at) or at + 1
  return "sign", s:sub(at, after - 1), at, after
end

local function all_tokens(s)
  local out, at, line, counted = {}, 1, 1, 1
  while true do
    local kind, text, start, after = token(s, at)
    if not kind then return out end
    local _, breaks = s:sub(counted, start - 1):gsub("\n", "")
    line, counted = line + breaks, start
    out[#out + 1] = { kind = kind, text = text, line = line, start = start, after = after }
    at = after
  end
end

-- What a `{` at token `i` belongs to: the word that is called with it, or the key it is the value of.
local function label(tokens, i)
  local before, first = tokens[i - 1], tokens[i - 2]
  if not before then return nil end
  if before.text == "(" and first then before, first = first, tokens[i - 3] end
  if before.kind == "name" then return before.text, before.line end
  if before.kind == "string" and first and first.kind == "name" then return first.text, first.line end
  return nil
end

local function note_key(node, name, line, twice)
  local before = node.keys[name]
  if before then twice[#twice + 1] = { name = name, line = line, first = before.line } end
  node.keys[name] = before or { line = line }
  node.key = node.keys[name]
end

local function note_field(node, tokens, i, twice)
  local t, second, third, fourth = tokens[i], tokens[i + 1], tokens[i + 2], tokens[i + 3]
  if not t or t.text == "}" then return end
  local name
  if t.kind == "name" and second and second.text == "=" then name = t.text end
  if t.text == "[" and second and second.kind == "string" and third.text == "]" and fourth.text == "=" then
    name = second.text
  end
  if name then
    note_key(node, name, t.line, twice)
  else
    node.items[#node.items + 1] = t.line
    node.key = nil
  end
end

--- Reads `source` and returns a function find(word, line) -> node or nil: the braces that the call of `word`
-- at `line` was given. A node is { line, keys = { name -> { line, node } }, items = { line, … } }. Second, the keys
-- that stand twice between the same braces: { { name, line, first = line }, … }.
function M.read(source)
  local tokens = all_tokens(source)
  local calls, stack, twice = {}, {}, {}
  for i, t in ipairs(tokens) do
    local top = stack[#stack]
    if t.text == "{" and t.kind == "sign" then
      local node = { brace = true, line = t.line, keys = {}, items = {} }
      local name, line = label(tokens, i)
      if name then
        calls[name .. ":" .. line] = calls[name .. ":" .. line] or node
        calls[name .. ":" .. t.line] = calls[name .. ":" .. t.line] or node
      elseif top and top.brace and top.key then
        top.key.node = node
      end
      stack[#stack + 1] = node
      note_field(node, tokens, i + 1, twice)
    elseif t.kind == "sign" and (t.text == "(" or t.text == "[") then
      stack[#stack + 1] = { close = true }
    elseif t.kind == "name" and openers[t.text] and not M.is_do_key(tokens, i) then
      stack[#stack + 1] = { block = true }
    elseif (t.kind == "name" and closers[t.text]) or (t.kind == "sign" and t.text:match("^[%]%)}]$")) then
      stack[#stack] = nil
    elseif t.kind == "sign" and (t.text == "," or t.text == ";") and top and top.brace then
      note_field(top, tokens, i + 1, twice)
    end
  end
  return function(name, line) return calls[name .. ":" .. line] end, twice
end

--- The first of the words in `wanted` (a set) that `source` calls, as in `pipeline "name"`, or nil.
function M.first_call(source, wanted)
  local at, before = 1, nil
  while true do
    local kind, text, _, after = token(source, at)
    if not kind then return nil end
    if wanted[before] and (kind == "string" or text == "(") then return before end
    before, at = kind == "name" and text or nil, after
  end
end

--- Whether token `i` is a `do` that names a field: after `{`, `,` or `;` and before `=`.
function M.is_do_key(tokens, i)
  local before, after = tokens[i - 1], tokens[i + 1]
  return tokens[i].text == "do" and before and before.text:match("^[{,;]$") and after and after.text == "="
end

--- The source with each field `do =` written `["do"]=`, on the same lines.
-- `do` is a reserved word of Lua, but it is what a step's function is called; nothing else in Lua can look
-- like it.
function M.respell(source)
  if not source:find("do%s*=") then return source end
  local tokens, out, from = all_tokens(source), {}, 1
  for i, t in ipairs(tokens) do
    if t.kind == "name" and M.is_do_key(tokens, i) then
      out[#out + 1] = source:sub(from, t.start - 1) .. '["do"]'
      from = t.after
    end
  end
  return table.concat(out) .. source:sub(from)
end

return M
