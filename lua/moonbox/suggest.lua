--- Did-you-mean: the nearest of some known words.
local M = {}

-- Longer words are never typing slips of ours; the bound keeps a hostile key from costing time.
local LONGEST = 40

local function distance(a, b)
  local before, row, next_row = {}, {}, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    next_row[0] = i
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local best = math.min(row[j] + 1, next_row[j - 1] + 1, row[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      next_row[j] = best
    end
    before, row, next_row = row, next_row, before
  end
  return row[#b]
end

--- The word of `known` (an array) nearest to `word`, or nil when none is near.
-- Near is at most a third of the word's letters wrong, at least one; swapped neighbours count as one.
-- Equal distances are settled by the alphabet, so that the same mistake always gets the same answer.
function M.nearest(word, known)
  if #word > LONGEST then return nil end
  local low = word:lower()
  local limit = math.max(1, math.floor(#word / 3))
  local best, best_distance
  for _, candidate in ipairs(known) do
    if math.abs(#candidate - #word) <= limit then
      local d = distance(low, candidate:lower())
      if d <= limit and (not best or d < best_distance or (d == best_distance and candidate < best)) then
        best, best_distance = candidate, d
      end
    end
  end
  return best
end

--- "; did you mean `x`?" or "" when nothing is near.
function M.tail(word, known)
  local nearest = M.nearest(word, known)
  return nearest and ("; did you mean `" .. nearest .. "`?") or ""
end

return M
