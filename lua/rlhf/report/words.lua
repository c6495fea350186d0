--- The page's own words, in the languages that it speaks.
-- @module rlhf.report.words
return {
  en = {
    contents = "Contents", options = "Options in force", last = "last", nothing = "no values", no_log = "Nothing was logged.",
    smoothed = "Bold: running mean of %d.", gaps = "Left out, being no finite numbers: %d.",
    outside = "Outside the axis, or no finite number: %d.", mean = "mean", count = "count",
  },
  ko = {
    contents = "차례", options = "적용된 설정", last = "마지막", nothing = "값 없음", no_log = "기록된 값이 없습니다.",
    smoothed = "굵은 선: %d개의 이동 평균.", gaps = "유한한 수가 아니어서 뺀 값: %d개.",
    outside = "축의 범위 밖이거나 유한한 수가 아닌 값: %d개.", mean = "평균", count = "개수",
  },
}
