--- Places in the rows of a file, for messages: { row, path }, the row and the way into its braces.
local M = {}

--- The place in `row` that the keys or item numbers `...` lead to.
function M.at(row, ...) return { row = row, path = { ... } } end

--- One step on from a place.
function M.deeper(at, step)
  local path = {}
  for i, s in ipairs(at.path) do path[i] = s end
  path[#path + 1] = step
  return { row = at.row, path = path }
end

--- Its line in the file.
function M.line(session, at) return session:line(at.row, unpack(at.path)) end

--- Reports a mistake there. Returns nothing, so that a check can end with it.
function M.fail(session, at, text)
  session:report(at.row.file, M.line(session, at), text)
end

return M
