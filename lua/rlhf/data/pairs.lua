--- Pairs from rankings: A > B > C gives (A,B), (A,C), (B,C).
-- @submodule rlhf.data
local rank = require "rlhf.rank"

-- {A, {B, C}, D} -> A, B, C, D and their ranks 1, 2, 2, 3.
local function from_order(list)
  local items, ranks = {}, {}
  for place, entry in ipairs(list) do
    local tie = type(entry) == "table" and getmetatable(entry) == nil and #entry > 0
    for _, item in ipairs(tie and entry or {entry}) do
      items[#items + 1], ranks[#ranks + 1] = item, place
    end
  end
  return items, ranks
end

--- Pairs of a row, or of a best-first list in which a list is a tie.
-- @function pairs
-- @tparam table x a row `{responses =, ranking =}`, or `{A, {B, C}, D}`
-- @treturn table list of {better, worse}, K(K-1)/2 for K ranks that differ: `{{A,B},{A,C},{A,D},{B,D},{C,D}}`; ties and what is unranked make none
return function(x)
  if type(x) ~= "table" then error("data.pairs: a row or a best-first list wanted, got " .. type(x), 2) end
  local items, ranks = x.responses, x.ranking
  if items == nil then items, ranks = from_order(x) end
  if type(items) ~= "table" or type(ranks) ~= "table" then error("data.pairs: the row has no ranking", 2) end
  local out = {}
  for i, pair in ipairs(rank.pairs(ranks, #items)) do out[i] = {items[pair[1]], items[pair[2]]} end
  return out
end
