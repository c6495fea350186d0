--- Which charts belong to which trainer: for each name a list of rows, drawn in order where the log has one of their
-- keys. A new chart is a new row:
--
--   * `keys`: metrics' names; or `like`: a pattern, all of the log's keys that match it, in order, if
--     they are several
--   * `en`, `ko`: {title, unit of y, note; `names` of the series where there are several keys, or `each`: a name around
--     what the pattern captures}
--   * `low`, `high`: what the axis reaches at least
--   * `limits`: list of {option = name of an option of report:stage or of the trainer, en =, ko = its label} or {y = value, ...}
--
-- Not charted: what tells time (`eps`), for the same run gives the same page, and what only counts (`epoch`, `episode`).
-- @module rlhf.report.stages
local training = {en = {"training", "held back"}, ko = {"학습", "검증"}}

local function both(title, unit, note) return {title, unit, note, names = training.en} end
local function both_ko(title, unit, note) return {title, unit, note, names = training.ko} end

local learning_rate = {keys = {"learning_rate"}, en = {"Learning rate"}, ko = {"학습률"}}
local grad_norm = {keys = {"grad_norm"}, low = 0, en = {"Gradient norm", nil, "Before clipping."},
                   ko = {"그래디언트 노름", nil, "클리핑하기 전의 값."}}
local tokens = {keys = {"num_tokens"}, low = 0, en = {"Tokens seen", "tokens"}, ko = {"학습한 토큰", "토큰"}}

local M = {}

M.sft = {
  x = {en = "step", ko = "스텝"},
  {keys = {"loss", "eval_loss"}, en = both("Loss", "nats a token", "Next-token cross-entropy; lower is better."),
   ko = both_ko("손실", "토큰당 nat", "다음 토큰의 교차 엔트로피. 낮을수록 좋습니다.")},
  {keys = {"mean_token_accuracy", "eval_mean_token_accuracy"}, low = 0,
   en = both("Token accuracy", "share", "How many next tokens were predicted right."),
   ko = both_ko("토큰 정확도", "비율", "다음 토큰을 맞게 예측한 비율.")},
  learning_rate, grad_norm, tokens,
}

M.reward = {
  x = {en = "step", ko = "스텝"},
  {keys = {"loss", "eval_loss"}, en = both("Ranking loss", "nats a pair", "-log sigmoid of the margin; chance is 0.693."),
   ko = both_ko("순위 손실", "쌍당 nat", "점수 차의 -log sigmoid. 무작위면 0.693입니다.")},
  {keys = {"accuracy", "eval_accuracy"}, low = 0, high = 1, limits = {{y = 0.5, en = "chance", ko = "무작위"}},
   en = both("Accuracy", "share of pairs", "Pairs in which the better answer has the higher score."),
   ko = both_ko("정확도", "쌍의 비율", "더 나은 응답이 더 높은 점수를 받은 쌍.")},
  {keys = {"margin", "eval_margin"}, en = both("Margin", "score", "Score of the better answer less that of the worse."),
   ko = both_ko("점수 차", "점수", "더 나은 응답의 점수에서 못한 응답의 점수를 뺀 값.")},
  {keys = {"mean_reward", "min_reward", "max_reward"}, en = {"Scores", "score", names = {"mean", "lowest", "highest"}},
   ko = {"점수", "점수", names = {"평균", "최저", "최고"}}},
  {keys = {"std_reward"}, low = 0, en = {"Spread of scores", "standard deviation"}, ko = {"점수의 퍼짐", "표준편차"}},
  {like = "^accuracy_k(%d+)$", low = 0, high = 1,
   en = {"Accuracy by number of answers", "share of pairs", each = "%s answers"},
   ko = {"응답 수에 따른 정확도", "쌍의 비율", each = "응답 %s개"}},
  learning_rate, grad_norm, tokens,
}

M.ppo = {
  x = {en = "update", ko = "업데이트"},
  {keys = {"objective/scores", "objective/rlhf_reward"},
   en = {"Reward", "mean of answers", "What PPO raises.", names = {"score", "score less KL penalty"}},
   ko = {"보상", "응답의 평균", "PPO가 높이려는 값.", names = {"점수", "KL 벌점을 뺀 점수"}}},
  {keys = {"objective/kl"}, low = 0,
   limits = {{option = "budget", en = "budget", ko = "예산"}, {option = "kl.target", en = "target", ko = "목표"}},
   en = {"KL from the reference", "nats an answer", "How far the policy has moved away from where it began."},
   ko = {"기준 모델과의 KL", "응답당 nat", "정책이 처음 모델에서 멀어진 정도."}},
  {keys = {"objective/kl_coef"}, low = 0, en = {"KL coefficient", "beta"}, ko = {"KL 계수", "beta"}},
  {keys = {"completions/mean_length"}, low = 0, en = {"Length of answers", "tokens"}, ko = {"응답 길이", "토큰"}},
  {keys = {"completions/ended"}, low = 0, high = 1,
   en = {"Answers that end", "share", "The others were cut off at the largest length."},
   ko = {"끝맺은 응답", "비율", "나머지는 최대 길이에서 잘렸습니다."}},
  {keys = {"policy/entropy_avg"}, low = 0,
   en = {"Entropy of the policy", "nats a token", "Near 0 the policy says one thing only."},
   ko = {"정책의 엔트로피", "토큰당 nat", "0에 가까우면 정책이 한 가지 말만 합니다."}},
  {keys = {"loss/policy_avg"}, en = {"Policy loss"}, ko = {"정책 손실"}},
  {keys = {"loss/value_avg"}, low = 0, en = {"Value loss"}, ko = {"가치 손실"}},
  {keys = {"policy/clipfrac_avg", "val/clipfrac_avg"}, low = 0,
   en = {"Clip fraction", "share of tokens", names = {"policy", "value"}},
   ko = {"클리핑된 비율", "토큰의 비율", names = {"정책", "가치"}}},
  {keys = {"policy/approxkl_avg"}, low = 0,
   en = {"KL of an update", "nats a token", "How far the policy moves on one rollout's data."},
   ko = {"업데이트의 KL", "토큰당 nat", "한 번 모은 응답으로 정책이 움직인 정도."}},
  {keys = {"val/explained_variance"}, high = 1,
   en = {"Explained variance", "share", "How much of the returns the critic foresaw; 1 is all."},
   ko = {"설명된 분산", "비율", "비평 모델이 내다본 수익의 몫. 1이면 전부입니다."}},
  {keys = {"objective/scores_std"}, low = 0, en = {"Spread of scores", "standard deviation"},
   ko = {"점수의 퍼짐", "표준편차"}},
  {keys = {"objective/entropy"}, low = 0, en = {"Entropy of answers", "nats an answer"}, ko = {"응답의 엔트로피", "응답당 nat"}},
  {keys = {"val/ratio"}, en = {"Probability ratio", "new to old"}, ko = {"확률의 비", "새 정책 / 옛 정책"}},
  {keys = {"lr"}, low = 0, en = {"Learning rate"}, ko = {"학습률"}},
  grad_norm,
}

local function keys_of(log)
  local found, list = {}, {}
  for _, metrics in ipairs(log) do
    for key, value in pairs(metrics) do
      if type(key) == "string" and type(value) == "number" and not found[key] then
        found[key] = true
        list[#list + 1] = key
      end
    end
  end
  table.sort(list)
  return found, list
end

-- A row's keys that the log has, and their names.
local function present(row, words, found, list)
  local keys, names = {}, {}
  for i, key in ipairs(row.keys or list) do
    if found[key] and (row.keys or key:find(row.like)) then
      keys[#keys + 1] = key
      names[#names + 1] = words.names and words.names[i] or row.like and words.each:format(key:match(row.like)) or words[1]
    end
  end
  return keys, names
end

local function limits_of(row, language, values)
  local limits = {}
  for _, limit in ipairs(row.limits or {}) do
    local y = limit.y or values[limit.option]
    if type(y) == "number" then limits[#limits + 1] = {name = limit[language], y = y} end
  end
  return limits
end

-- A trainer that has no list here: a chart for each of its numbers.
local function all(log, list)
  local out = {}
  for _, key in ipairs(list) do
    if key ~= "step" then out[#out + 1] = {title = key, x = "step", y = "", rows = log, keys = {key}, names = {key}} end
  end
  return out
end

--- The charts of a log.
-- @tparam string name the trainer's
-- @tparam {table,...} log metrics of each step
-- @tparam string language
-- @tparam table values numbers that limits may name
-- @treturn {table,...} what rlhf.report.chart takes
function M.charts(name, log, language, values)
  local found, list = keys_of(log)
  local stage, out = M[name], {}
  if type(stage) ~= "table" then return all(log, list) end
  for _, row in ipairs(stage) do
    local words = row[language]
    local keys, names = present(row, words, found, list)
    if #keys > (row.like and 1 or 0) then
      out[#out + 1] = {title = words[1], x = stage.x[language], y = words[2] or "", note = words[3], rows = log, keys = keys,
                       names = names, low = row.low, high = row.high, limits = limits_of(row, language, values)}
    end
  end
  return out
end

return M
