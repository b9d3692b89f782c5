--- Boxes made ahead: a program that opens one box after another on the same plan need not wait for any of them to be
-- set up, because the next is made while a command runs in the present one.
--
-- A box of a pool is a box like any other, complete and confined, in which nothing has run yet. It is given out once
-- and never comes back. While it waits it holds what a box holds: its processes, an id range, control groups, its
-- disk, its own network. It ends with the program.
local M = {}

-- By plan table: { wanted = how many, open = function that makes one, boxes = those that wait, oldest first }.
local pools = {}

-- What may have happened to a box while it waited: true, or nothing when it is of no use any more.
local function usable(box)
  local event
  repeat event = box.running:next(0) until not event or event.kind ~= "storage"
  return event ~= nil and event.kind == "timeout"
end

-- True, or nil, sentence, exit code of the box that could not be made.
local function fill(pool)
  while #pool.boxes < pool.wanted do
    local box, message, code = pool.open()
    if not box then return nil, message, code end
    pool.boxes[#pool.boxes + 1] = box
  end
  return true
end

--- Keeps `count` boxes on `plan` from now on; 0 ends those that wait. `open()` begins to make one.
-- Returns true, or nil, sentence, exit code of the first box that can't be made or ended.
function M.keep(plan, count, open)
  local pool = pools[plan] or { boxes = {} }
  pool.wanted, pool.open = count, open
  pools[plan] = count > 0 and pool or nil
  while #pool.boxes > count do
    local closed, message = table.remove(pool.boxes):close()
    if not closed then return nil, message end
  end
  return fill(pool)
end

--- The oldest box that waits on `plan`, now the caller's; nil when there is none.
function M.take(plan)
  local pool = pools[plan]
  while pool and #pool.boxes > 0 do
    local box = table.remove(pool.boxes, 1)
    if usable(box) then return box end
    box:close()
  end
end

--- Makes up for a box of `plan` that was taken. A box that can't be made is no trouble here: the next M.take returns
-- nil, and the caller's own attempt says why.
function M.refill(plan)
  local pool = pools[plan]
  if pool then fill(pool) end
end

return M
