--- `$name` in the arguments and environment of a pipeline's step.
-- A name stands for a parameter's value and is replaced whole inside its one argument: a value is never
-- split, never read by a shell, never looked at again for further names. `${name}` is the same where letters
-- follow; `$$` is one dollar sign. A `command` parameter is a list of arguments: it stands alone as one
-- argument and becomes several.
local M = {}

local function parse(text)
  local out, at = {}, 1
  while true do
    local dollar = text:find("$", at, true)
    if not dollar then break end
    out[#out + 1] = text:sub(at, dollar - 1)
    local name, after = text:match("^([%a_][%w_]*)()", dollar + 1)
    if not name then name, after = text:match("^{([%a_][%w_]*)}()", dollar + 1) end
    if name then
      out[#out + 1] = { name = name }
    elseif text:sub(dollar + 1, dollar + 1) == "$" then
      out[#out + 1], after = "$", dollar + 2
    else
      return nil, ('"%s" has a $ that names nothing; write $$ for a dollar sign'):format(text)
    end
    at = after
  end
  out[#out + 1] = text:sub(at)
  return out
end

--- The parameter names that a text mentions, in order; nil and a sentence when a `$` names nothing.
function M.names(text)
  local parts, why = parse(text)
  if not parts then return nil, why end
  local out = {}
  for _, part in ipairs(parts) do
    if type(part) == "table" then out[#out + 1] = part.name end
  end
  return out
end

--- The one name that a text consists of ("$agent" or "${agent}"), or nil.
function M.alone(text) return text:match("^%$([%a_][%w_]*)$") or text:match("^%${([%a_][%w_]*)}$") end

--- The text with the names replaced from `values` (name -> text or number), or nil and a sentence.
-- Whole numbers are written without a point.
function M.expand(text, values)
  local parts, why = parse(text)
  if not parts then return nil, why end
  local out = {}
  for i, part in ipairs(parts) do
    if type(part) == "string" then
      out[i] = part
    else
      local value = values[part.name]
      if value == nil then return nil, ("there is no value for $%s"):format(part.name) end
      if type(value) == "table" then
        return nil, ("$%s is a command of several arguments, so it stands alone as one argument")
          :format(part.name)
      end
      out[i] = type(value) == "number" and ("%.14g"):format(value) or tostring(value)
    end
  end
  return table.concat(out)
end

--- The arguments of a command with the names replaced; a list value that stands alone becomes several
-- arguments. nil and a sentence when a name has no value.
function M.run(arguments, values)
  local out = {}
  for _, argument in ipairs(arguments) do
    local alone = M.alone(argument)
    if alone and type(values[alone]) == "table" then
      for _, item in ipairs(values[alone]) do out[#out + 1] = item end
    else
      local text, why = M.expand(argument, values)
      if not text then return nil, why end
      out[#out + 1] = text
    end
  end
  return out
end

--- A command line as its arguments, split at spaces; no quoting, no shell. nil and a sentence when it is
-- empty.
function M.split(line)
  local out = {}
  for word in line:gmatch("[^ \t]+") do out[#out + 1] = word end
  if #out == 0 then return nil, "an empty command" end
  return out
end

return M
