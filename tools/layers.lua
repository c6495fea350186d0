-- Which file may know of which: the one table of layers, read by `make lint` and by spec/layers_spec.lua.
-- C: base -> tensor -> ops -> autograd -> nn -> loss -> rl, with optim, sample, text, io beside nn; a file
-- includes its own folder or those to the left. Lua: core, then the leaves, then the modules in order.
local M = {}

local left_of_nn = {"base", "tensor", "ops", "autograd"}
local function after(...)
  local may = {}
  for _, list in ipairs {...} do
    for _, layer in ipairs(list) do may[layer] = true end
  end
  return may
end

-- May a file of c/LAYER include from c/OTHER? Its own folder always.
M.c = {
  base = after {},
  tensor = after {"base"},
  ["ops/kernels"] = after {"base"},
  ops = after {"base", "tensor", "ops/kernels"},
  autograd = after {"base", "tensor", "ops", "ops/kernels"},
  nn = after(left_of_nn, {"ops/kernels"}),
  optim = after(left_of_nn, {"ops/kernels"}),
  sample = after(left_of_nn, {"ops/kernels"}),
  text = after(left_of_nn),
  io = after(left_of_nn),
  loss = after(left_of_nn, {"ops/kernels", "nn"}),
  rl = after(left_of_nn, {"ops/kernels", "nn", "loss"}),
}
local all = {"ops/kernels"}
for layer in pairs(M.c) do all[#all + 1] = layer end
M.c.bind = after(all)
M.c.fuzz = after(all)

-- Modules that stand on others, in order; what is not here is a leaf.
M.lua = {"rlhf.model", "rlhf.folder", "rlhf.reward_model", "rlhf.trainer", "rlhf.rollout", "rlhf.sft", "rlhf.reward",
         "rlhf.ppo_verbs", "rlhf.ppo"}

local function c_layer(path)
  if path:find "^ops/kernels/" then return "ops/kernels" end
  return path:match "^([^/]+)/"
end

local function check_c(path, line, complain)
  local own = c_layer(path:gsub("^c/", ""))
  local header = line:match '^%s*#%s*include%s*"([^"]+)"'
  local system = line:match "^%s*#%s*include%s*<([^>]+)>"
  if not M.c[own] then return complain("no layer: " .. tostring(own)) end
  if system and (system:find "^lua" or system:find "^lauxlib") and own ~= "bind" then
    complain("<" .. system .. "> outside c/bind")
  end
  if not header then return end
  local other = c_layer(header)
  if not other then complain('"' .. header .. '": write the folder, too')
  elseif other ~= own and not M.c[own][other] then complain(('%s includes "%s"'):format(own, header)) end
end

local function lua_level(module)
  if module == "rlhf.preload" or module == "rlhf.corelib" then return -1 end
  if module == "rlhf.core" then return 0 end
  for level, name in ipairs(M.lua) do
    if module == name or module:find("^" .. name:gsub("%.", "%%.") .. "%.") then return level + 1 end
  end
  return 1
end

local function check_lua(path, line, complain)
  local module = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  if module == "rlhf" then return end -- re-exports everything
  for name in line:gmatch "require%s*%(?%s*[\"']([^\"']+)[\"']" do
    local own, other = lua_level(module), lua_level(name)
    if name == "rlhf" then complain 'requires "rlhf"'
    elseif not name:find "^rlhf%." then complain("requires " .. name .. ", which is no part of the library")
    elseif other > own or (other == own and own > 1) then complain(module .. " requires " .. name)
    elseif other == -1 and own ~= 0 then complain(name .. " is rlhf.core's to load") end
  end
end

--- Complaints about one file's text, as a list of "path:line: what".
function M.check(path, text)
  local found, number = {}, 0
  local check = path:find "^c/" and check_c or check_lua
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    check(path, line, function(what) found[#found + 1] = ("%s:%d: %s"):format(path, number, what) end)
  end
  return found
end

--- Every source of the tree, as a list of paths.
function M.sources()
  local paths = {}
  local pipe = assert(io.popen "find c lua -name '*.[ch]' -o -name '*.lua' | sort")
  for path in pipe:lines() do paths[#paths + 1] = path end
  pipe:close()
  return paths
end

function M.read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "a"
  f:close()
  return text
end

if arg and arg[0] and arg[0]:find "layers%.lua$" then
  local bad = 0
  for _, path in ipairs(M.sources()) do
    for _, what in ipairs(M.check(path, M.read(path))) do
      print(what)
      bad = bad + 1
    end
  end
  os.exit(bad == 0)
end
return M
