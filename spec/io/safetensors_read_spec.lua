-- Values: what arrives in a tensor for each stored type. Bits are compared by saving the tensor and
-- taking the file apart.
local core = require "rlhf.core"
local files = require "support.safetensors_file"

-- The reference data, or nil.
local reference = os.getenv "RLHF_FIXTURES" or "../shared/fixtures"
if not core.file_info(reference .. "/index.json") then reference = nil end

local function json(name) return assert(core.json_decode(assert(core.read_file(reference .. "/" .. name)))) end

local folder
setup(function() folder = files.folder() end)
teardown(function() files.remove(folder) end)

local function path(name) return folder .. "/" .. name end

local function open(dtype, shape, data)
  return assert(core.safetensors_open(files.write(path "in", files.single(dtype, shape, data))))
end

-- The bytes and type of a tensor as it stands in memory.
local function bits(tensor)
  assert(core.safetensors_save(path "out", {{name = "x", tensor = tensor}}))
  local x = files.entries(path "out").x
  return x.data, x.dtype
end

local function read(dtype, shape, data)
  local reader <close> = open(dtype, shape, data)
  return bits(assert(reader:read "x"))
end

local function pack(format, list)
  local out = {}
  for i, v in ipairs(list) do out[i] = string.pack("<" .. format, v) end
  return table.concat(out)
end

local function f32s(list) return pack("f", list) end

-- The value of 16 bits of a float with the given numbers of exponent and mantissa bits, by definition.
local function small_float(h, exponent_bits, mantissa_bits)
  local bias = (1 << exponent_bits - 1) - 1
  local e, m = h >> mantissa_bits & (1 << exponent_bits) - 1, h & (1 << mantissa_bits) - 1
  local sign = h >> 15 == 1 and -1.0 or 1.0
  if e == (1 << exponent_bits) - 1 then return m == 0 and sign / 0 or nil end
  if e == 0 then return sign * (m * 2.0 ^ (1 - bias - mantissa_bits)) end
  return sign * (1 + m * 2.0 ^ -mantissa_bits) * 2.0 ^ (e - bias)
end

describe("reading", function()
  it("takes each of the 65536 half floats exactly", function()
    for dtype, layout in pairs {F16 = {5, 10}, BF16 = {8, 7}} do
      local all = {}
      for h = 0, 65535 do all[h + 1] = string.pack("<I2", h) end
      local got, kind = read(dtype, {256, 256}, table.concat(all))
      assert.equal("F32", kind)
      for h = 0, 65535 do
        local want = small_float(h, layout[1], layout[2])
        local v = string.unpack("<f", got, 4 * h + 1)
        if want then
          assert(string.pack("<f", v) == string.pack("<f", want), ("%s %04x: %s for %s"):format(dtype, h, v, want))
        else
          assert(v ~= v, ("%s %04x: %s for NaN"):format(dtype, h, v))
        end
      end
    end
  end)

  it("takes F32 bit for bit, F64 rounded to nearest", function()
    local odd = string.pack("<I4I4I4I4", 0x7FC12345, 0x80000000, 1, 0xFF800000)
    assert.equal(odd, (read("F32", {4}, odd)))
    local values = {0.1, 1 + 2.0 ^ -24, 1 + 3 * 2.0 ^ -24, 1e300, -1e-50, 2.0 ^ -149}
    assert.equal(f32s {0.1, 1, 1 + 2.0 ^ -22, 1 / 0, -0.0, 2.0 ^ -149}, (read("F64", {6}, pack("d", values))))
  end)

  it("takes integers as i64", function()
    for dtype, case in pairs {I64 = {"i8", {math.mininteger, -1, 0, math.maxinteger}},
                              I32 = {"i4", {-2147483648, -1, 0, 2147483647}}, U8 = {"I1", {0, 1, 128, 255}}} do
      local got, kind = read(dtype, {4}, pack(case[1], case[2]))
      assert.equal("I64", kind)
      assert.equal(pack("i8", case[2]), got)
    end
  end)

  it("takes every byte of BOOL but 0 as true", function()
    local got, kind = read("BOOL", {4}, "\0\1\2\xff")
    assert.equal("BOOL", kind)
    assert.equal("\0\1\1\1", got)
  end)

  it("joins its pieces: sizes around the buffer's", function()
    for _, n in ipairs {0, 1, 4095, 4096, 4097, 12289} do
      local halves, floats = {}, {}
      for i = 1, n do
        halves[i], floats[i] = string.pack("<I2", 0x3F80 + i % 64), string.pack("<f", 1 + i % 64 / 128)
      end
      assert.equal(table.concat(floats), (read("BF16", {n}, table.concat(halves))))
    end
  end)

  it("gives scalars and empty tensors their shape", function()
    local reader = open("F32", {}, f32s {2.5})
    assert.same({}, assert(reader:read "x"):shape())
    reader = open("F32", {2, 0, 3}, "")
    assert.same({2, 0, 3}, assert(reader:read "x"):shape())
  end)

  it("finds NaN and infinity when asked", function()
    local reader = open("F16", {3}, string.pack("<I2I2I2", 0x3C00, 0x7C00, 0x7E00))
    assert(reader:read "x")
    assert(reader:read("x", {check_finite = false}))
    local t, message = reader:read("x", {check_finite = true})
    assert.is_nil(t)
    assert.equal(path "in" .. ": tensor 'x': value 2 is inf", message)
    assert.error_matches(function() reader:read("x", {finite = true}) end, "did you mean 'check_finite'")
  end)

  it("tells of a file that was cut while it was open", function()
    local reader = open("F32", {2000}, ("1234"):rep(2000))
    files.write(path "in", "short")
    local t, message = reader:read "x"
    assert.is_nil(t)
    assert.matches("/in: ends at byte %d+, it had %d+ when it was opened$", message)
  end)

  it("knows no other name", function()
    local reader = open("F32", {1}, f32s {1})
    for _, name in ipairs {"y", "", "x\0"} do
      assert.matches("/in: no tensor '", select(2, reader:read(name)))
      assert.is_nil((reader:info(name)))
    end
    assert.error_matches(function() reader:read() end, "string expected")
  end)
end)

describe("read_into", function()
  it("fills a tensor of the same shape", function()
    local zero = assert(open("F32", {2, 2}, f32s {0, 0, 0, 0}):read "x")
    local reader = open("BF16", {2, 2}, pack("I2", {0x3F80, 0x4000, 0xBF80, 0}))
    assert.is_true(reader:read_into("x", zero))
    assert.equal(f32s {1, 2, -1, 0}, (bits(zero)))
  end)

  it("refuses another shape or type", function()
    local four = assert(open("F32", {4}, f32s {1, 2, 3, 4}):read "x")
    local reader = open("F32", {2, 2}, f32s {5, 6, 7, 8})
    local ok, message = reader:read_into("x", four)
    assert.is_nil(ok)
    assert.equal(path "in" .. ": tensor 'x': shape [2,2], wanted [4]", message)
    assert.equal(f32s {1, 2, 3, 4}, (bits(four)))
    reader = open("I32", {4}, pack("i4", {1, 2, 3, 4}))
    assert.error_matches(function() reader:read_into("x", four) end, "#2 .*tensor 'x': I32 does not go into f32")
    assert.error_matches(function() reader:read_into("x", {}) end, "rlhf.tensor expected")
  end)
end)

describe("reference files", function()
  if not reference then
    pending "no reference data: set RLHF_FIXTURES to its folder"
    return
  end

  it("all open, and all their tensors read", function()
    local count = 0
    local pipe = assert(io.popen(("find -L '%s' -name '*.safetensors'"):format(reference)))
    for name in pipe:lines() do
      local reader <close> = assert(core.safetensors_open(name))
      for _, tensor in ipairs(reader:names()) do
        assert(reader:read(tensor)):close()
        count = count + 1
      end
    end
    pipe:close()
    assert(count > 0)
  end)

  it("hold the ids that their JSON holds", function()
    for _, model in ipairs(json "index.json".models) do
      local base = ("train/%s/train"):format(model.name)
      if core.file_info(reference .. "/" .. base .. ".json") then
        local reader <close> = assert(core.safetensors_open(reference .. "/" .. base .. ".safetensors"))
        for i, batch in ipairs(json(base .. ".json").batches) do
          local t = assert(reader:read(("batch%d.input_ids"):format(i - 1)))
          assert.same(batch.input_ids.shape, t:shape())
          assert.equal(pack("i8", batch.input_ids.data), (bits(t)))
        end
      end
    end
  end)
end)
