-- The clocks that busted wants, where the system's lua-system knows no Lua 5.4 (Ubuntu 22.04). Found only
-- where there is no other: see TREE_ENV in tools/targets.mk.
return {gettime = os.time, monotime = os.clock, sleep = function(seconds) os.execute("sleep " .. seconds) end}
