--- The loop that trainers share: steps, progress, metrics in a file, warnings, checkpoints, going on from one.
-- A trainer supplies the step; what it keeps from step to step it hands out as `state` and takes back by
-- `load_state`. Rests on rlhf.checkpoint (files) and rlhf.progress (what is shown).
--
-- Files under `output`: `metrics.jsonl`, one line for each step (`{"step": 3, "loss": ...}`, skipped steps with
-- `"skipped": reason`, warnings with `"warning": text`), and `checkpoint/`.
-- @module rlhf.trainer
local core = require "rlhf.core"
local option = require "rlhf.option"
local checkpoint = require "rlhf.checkpoint"
local progress = require "rlhf.progress"

local M = {}
local Trainer = {}
Trainer.__index = Trainer
Trainer.__name = "rlhf.trainer"

local MAX_SKIPPED = 10

local known = {
  name = option.required, step = option.required, total_steps = option.required, options = option.optional,
  models = option.optional, optimizers = option.optional, state = option.optional, load_state = option.optional,
  save = option.optional, output = option.optional, resume = false, log_every = 10, save_every = option.optional,
  quiet = false, keys = option.optional,
}

-- ---- what a checkpoint holds ----

local function weights(model)
  local out = {}
  for i, p in ipairs(model:parameters()) do out[i] = p end
  return out
end

local function load_weights(name, model, saved)
  local own = model:parameters()
  if type(saved) ~= "table" or #saved ~= #own then
    error(("model '%s': %d parameters wanted, the checkpoint has %s"):format(name, #own,
      type(saved) == "table" and #saved or "none"), 0)
  end
  core.no_grad(function()
    for i, p in ipairs(own) do p:copy_(saved[i]) end
  end)
end

local function environment()
  local info = core.info()
  return {version = info.version, isa = info.isa, blas_core = info.blas_core}
end

-- JSON has no NaN and no infinity: such a metric is written as a string.
local function plain(metrics)
  local out = {}
  for key, v in pairs(metrics) do
    local finite = type(v) ~= "number" or v == v and v < math.huge and v > -math.huge
    out[key] = finite and v or tostring(v)
  end
  return out
end

local function snapshot(self)
  local s = {name = self.name, step = self.done, total_steps = self.total_steps, models = {}, optimizers = {},
             last = self.last and plain(self.last), environment = environment()}
  for name, model in pairs(self.models) do s.models[name] = weights(model) end
  for name, optimizer in pairs(self.optimizers) do s.optimizers[name] = optimizer:state() end
  s.state = self.state and self.state() or {}
  return s
end

local function restore(self, s)
  if s.name ~= self.name then
    error(("made by '%s', this is '%s'"):format(tostring(s.name), self.name), 0)
  end
  for name, model in pairs(self.models) do load_weights(name, model, s.models[name]) end
  for name, optimizer in pairs(self.optimizers) do
    if not s.optimizers[name] then error(("optimizer '%s' is missing"):format(name), 0) end
    optimizer:load_state(s.optimizers[name])
  end
  if self.load_state then self.load_state(s.state) end
  self.done, self.last = s.step, s.last
  if s.total_steps ~= self.total_steps then
    self:warn("total_steps", ("the checkpoint's run was to have %d steps, this one has %d: schedules go on with the new number")
      :format(s.total_steps, self.total_steps))
  end
  for key, now in pairs(environment()) do
    if s.environment[key] ~= now then
      self:warn("environment", ("the checkpoint was made with %s %s, this is %s: results agree within rounding only")
        :format(key, tostring(s.environment[key]), tostring(now)))
    end
  end
end

local function folder_of(self) return self.output .. "/checkpoint" end

--- Saves a checkpoint now. Trainers do so every `save_every` steps and at the end.
-- @raise when a file can't be written; the checkpoint before is then still whole
function Trainer:checkpoint()
  if not self.output then error(self.name .. ": checkpoint: no output folder was given", 2) end
  local ok, message = checkpoint.save(folder_of(self), self.done, snapshot(self))
  if not ok then error(("%s: %s"):format(self.name, message), 0) end
end

local function resume(self)
  local state, message = checkpoint.load(folder_of(self))
  if not state then error(("%s: %s"):format(self.name, message), 0) end
  local ok, problem = pcall(restore, self, state)
  if not ok then error(("%s: %s: %s"):format(self.name, folder_of(self), tostring(problem)), 0) end
end

-- ---- the metrics file ----

local function metrics_path(self) return self.output .. "/metrics.jsonl" end

-- Lines of steps behind the checkpoint are of steps that will be made again.
local function cut_metrics(self)
  local f = io.open(metrics_path(self), "rb")
  if not f then return end
  local kept = {}
  for line in f:lines "L" do
    local step = tonumber(line:match '"step": ?(%d+)')
    if step and step <= self.done and line:sub(-1) == "\n" then kept[#kept + 1] = line end
  end
  f:close()
  assert(core.write_file(metrics_path(self), table.concat(kept)))
end

local function open_log(self)
  if not self.output or self.log then return end
  assert(core.make_folder(self.output))
  if self.resume or self.started then cut_metrics(self) end
  self.log = assert(io.open(metrics_path(self), (self.resume or self.started) and "ab" or "wb"))
end

local function log(self, entry)
  if not self.log then return end
  local ok, message = self.log:write(core.json_encode(plain(entry)), "\n")
  if ok then ok, message = self.log:flush() end
  if not ok then error(("%s: cannot write %s: %s"):format(self.name, metrics_path(self), message), 0) end
end

--- Tells something once: on the screen, and in the metrics file.
-- @tparam string key what it is about; a second warning of the same key is dropped
-- @tparam string text
function Trainer:warn(key, text)
  if self.warnings[key] then return end
  self.warnings[key] = text
  self.printer:text(("%s: warning: %s\n"):format(self.name, text))
  log(self, {step = self.done, warning = text})
end

-- ---- the loop ----

local function skip(self, n, reason)
  reason = tostring(reason or "no reason given")
  self.skipped, self.skipped_in_row = self.skipped + 1, self.skipped_in_row + 1
  log(self, {step = n, skipped = reason})
  self:warn("skipped", ("step %d is skipped: %s (later ones are in the metrics only)"):format(n, reason))
  if self.skipped_in_row >= MAX_SKIPPED then
    error(("%s: %d steps in a row were skipped, the last because: %s"):format(self.name, MAX_SKIPPED, reason), 0)
  end
end

local function report(self, n, metrics)
  local entry = {step = n}
  for key, v in pairs(metrics) do entry[key] = v end
  log(self, entry)
  local printer = self.printer
  if printer.quiet or not (printer.terminal or n % self.log_every == 0 or n == self.total_steps) then return end
  printer:line(progress.line(self.name, n, self.total_steps, n - self.begun_at, os.difftime(os.time(), self.begun), metrics,
                             self.keys))
end

local function finish(self)
  if self.finished then return end
  if self.output then
    self:checkpoint()
    if self.save then assert(self.save(self.output)) end
  end
  self.finished = true
end

-- Makes steps until one isn't skipped: returns its number and metrics, nil at the end.
local function advance(self)
  while self.done < self.total_steps do
    local n = self.done + 1
    local metrics, reason = self.step(n)
    self.done = n
    if metrics then
      self.skipped_in_row, self.last = 0, metrics
      report(self, n, metrics)
    else
      skip(self, n, reason)
    end
    local due = self.save_every and n % self.save_every == 0 and n < self.total_steps
    if self.output and due then self:checkpoint() end
    if metrics then return n, metrics end
  end
  finish(self)
end

local function begin(self)
  if not self.started then
    self.printer:text(progress.options(self.name, self.options))
    if self.done > 0 then self.printer:text(("%s: goes on behind step %d\n"):format(self.name, self.done)) end
  end
  open_log(self)
  self.started = true
  self.begun, self.begun_at = os.time(), self.done
  return setmetatable({}, {__close = function()
    self.printer:finish()
    if self.log then self.log:close() end
    self.log = nil
  end})
end

--- Iterates over the steps that are left. `for step, metrics in trainer:steps() do ... end`; skipped steps are
-- passed over. Breaking out closes the files; another loop goes on behind the last step.
-- @return what a generic for takes; the fourth value closes the files
function Trainer:steps()
  local closing = begin(self)
  return advance, self, nil, closing
end

--- Makes the steps that are left.
-- @treturn table metrics of the last step
-- @raise when ten steps in a row were skipped, when a file can't be written, and what the step raises
function Trainer:run()
  for _ in self:steps() do end -- luacheck: ignore 542
  return self.last
end

function Trainer:__tostring()
  return ("%s trainer: %d of %d steps done"):format(self.name, self.done, self.total_steps)
end

local function check_count(name, key, value)
  if math.type(value) ~= "integer" or value < 1 then
    error(("%s: %s: a whole number from 1 wanted, got %s"):format(name, key, tostring(value)), 4)
  end
end

local function check(spec)
  local o = option.check(spec, known, "rlhf.trainer", 3)
  check_count(o.name, "total_steps", o.total_steps)
  check_count(o.name, "log_every", o.log_every)
  if o.save_every then check_count(o.name, "save_every", o.save_every) end
  if o.resume and not o.output then error(o.name .. ": resume: wants an output folder", 3) end
  return o
end

--- What of a trainer's options is printed at its start: numbers, words and flags, and what else it wants shown.
-- @local
-- @tparam table options
-- @tparam table more by name; shown as tostring gives it
-- @treturn table
function M.shown(options, more)
  local out = {}
  for key, v in pairs(options) do
    local kind = type(v)
    if kind == "number" or kind == "string" or kind == "boolean" then out[key] = v end
  end
  for key, v in pairs(more) do out[key] = v end
  return out
end

--- A trainer.
-- @tparam table spec
--
--   * `name`, for messages and progress ("sft")
--   * `options` = {}: the options in force, printed at the start
--   * `total_steps`
--   * `step(n)`: makes step n (from 1); returns a table of metrics (numbers and strings), or nil and why the step
--     was skipped. It opens a scope of its own (`local scope <close> = core.scope()`)
--   * `models` = {}: name -> object with parameters(); `optimizers` = {}: name -> optimizer: what checkpoints hold
--   * `state()`: what else the trainer keeps, as a table of plain values, lists, tables with string keys, tensors;
--     `load_state(table)` takes it back
--   * `save(folder)`: called with `output` after the last step; returns true, or nil and a message
--   * `output`: folder, or nil: no files
--   * `resume` = false: go on from the checkpoint in `output`, if there is one
--   * `log_every` = 10: steps between lines of progress where there is no terminal
--   * `save_every`: steps between checkpoints (there is always one at the end)
--   * `quiet` = false: print nothing
--   * `keys` = {"loss"}: the metrics in the line of progress
-- @treturn trainer `trainer.done` = steps done, `trainer.last` = metrics of the last, `trainer.skipped` = their number,
--   `trainer.warnings` = text by key
-- @raise on wrong options, and on a checkpoint that can't be read or isn't of this run
function M.new(spec)
  local self = setmetatable(check(spec), Trainer)
  self.models, self.optimizers = self.models or {}, self.optimizers or {}
  self.options, self.keys = self.options or {}, self.keys or {"loss"}
  self.printer, self.warnings = progress.printer(self.quiet), {}
  self.done, self.skipped, self.skipped_in_row = 0, 0, 0
  if self.resume and checkpoint.exists(folder_of(self)) then resume(self) end
  return self
end

return M
