--- Names and addresses of network rows: one canonical form, or a sentence why there is none.
-- Grammar: an exact name (`github.com`), subdomains of a name (`*.github.com`), a literal address or CIDR
-- block, each with an optional `:port` (`[2001:db8::1]:443` for IPv6). Names are lower case, without a
-- trailing dot, ASCII; other scripts are written as A-labels (`xn--…`, RFC 5891). Labels follow RFC 1123 with
-- `_` allowed, at most 63 bytes each and 253 together (RFC 1035). What could mean two things is refused,
-- never guessed.
local M = {}

-- Registries under which anybody may have a name. A wildcard over one allows everybody. Not the public suffix
-- list: the common ones, and bare top-level domains are refused by their form.
local suffixes = {}
for suffix in ([[ac.jp ac.uk co.id co.il co.in co.jp co.ke co.kr co.nz co.th co.uk co.za com.ar com.au
  com.br com.cn com.co com.hk com.mx com.my com.ph com.pk com.sg com.tr com.tw com.ua com.vn edu.au
  edu.cn gov.uk gov.au ltd.uk me.uk ne.jp net.au net.br net.cn or.jp org.au org.br org.cn org.uk plc.uk
  sch.uk github.io gitlab.io herokuapp.com netlify.app vercel.app pages.dev workers.dev web.app
  firebaseapp.com blogspot.com cloudfront.net amazonaws.com s3.amazonaws.com azurewebsites.net ngrok.io
  ngrok-free.app trycloudflare.com duckdns.org nip.io sslip.io appspot.com onrender.com fly.dev
  glitch.me repl.co surge.sh]]):gmatch("%S+") do
  suffixes[suffix] = true
end

local function bytes4(text)
  local a, b, c, d = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  if not a then return nil end
  for _, part in ipairs { a, b, c, d } do
    if #part > 3 or tonumber(part) > 255 or (#part > 1 and part:sub(1, 1) == "0") then return nil end
  end
  return { tonumber(a), tonumber(b), tonumber(c), tonumber(d) }
end

local function words_of(text)
  local out = {}
  if text == "" then return out end
  for part in (text .. ":"):gmatch("([^:]*):") do
    if not part:match("^%x%x?%x?%x?$") then return nil end
    out[#out + 1] = tonumber(part, 16)
  end
  return out
end

local function bytes6(text)
  local head, last = text:match("^(.*:)([%d.]+)$")
  if last and last:find(".", 1, true) then
    local v4 = bytes4(last)
    if not v4 then return nil end
    text = head .. ("%x:%x"):format(v4[1] * 256 + v4[2], v4[3] * 256 + v4[4])
  end
  local left, right = text:match("^(.-)::(.*)$")
  local words
  if left then
    local a, b = words_of(left), words_of(right)
    if not a or not b or #a + #b > 7 then return nil end
    words = a
    for _ = 1, 8 - #a - #b do words[#words + 1] = 0 end
    for _, w in ipairs(b) do words[#words + 1] = w end
  else
    words = words_of(text)
  end
  if not words or #words ~= 8 then return nil end
  local out = {}
  for _, w in ipairs(words) do
    out[#out + 1] = math.floor(w / 256)
    out[#out + 1] = w % 256
  end
  return out
end

--- The bytes of a literal address (4 or 16 numbers), or nil. Only the usual dotted and RFC 4291 spellings.
function M.bytes(text) return bytes4(text) or (text:find(":", 1, true) and bytes6(text)) or nil end

local function show(bytes)
  if #bytes == 4 then return table.concat(bytes, ".") end
  if table.concat(bytes, " ", 1, 12) == "0 0 0 0 0 0 0 0 0 0 255 255" then
    return "::ffff:" .. table.concat(bytes, ".", 13, 16)
  end
  local words, best, best_length = {}, nil, 1
  for i = 0, 7 do words[i] = bytes[2 * i + 1] * 256 + bytes[2 * i + 2] end
  for i = 0, 7 do
    local n = 0
    while i + n < 8 and words[i + n] == 0 do n = n + 1 end
    if n > best_length then best, best_length = i, n end
  end
  local left, right = {}, {}
  for i = 0, 7 do
    if not best or i < best then left[#left + 1] = ("%x"):format(words[i]) end
    if best and i >= best + best_length then right[#right + 1] = ("%x"):format(words[i]) end
  end
  return table.concat(left, ":") .. (best and "::" or "") .. table.concat(right, ":")
end

local function inside(bytes, block, bits)
  local whole = math.floor(bits / 8)
  for i = 1, whole do
    if bytes[i] ~= block[i] then return false end
  end
  local rest = bits % 8
  if rest == 0 then return true end
  local unit = 2 ^ (8 - rest)
  return math.floor(bytes[whole + 1] / unit) == math.floor((block[whole + 1] or 0) / unit)
end

-- Addresses that are internal, as core/gateway/address.c has them with their sources (IANA special-purpose
-- registries): of IPv6, all but global unicast. Documentation ranges are not.
local internal = {}
for block in ([[0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
  192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 224.0.0.0/3 ::/3 2001::/23 4000::/2 8000::/1]]):gmatch("%S+") do
  local address, bits = block:match("^(.*)/(%d+)$")
  internal[#internal + 1] = { M.bytes(address), tonumber(bits) }
end

-- IPv6 forms that carry an IPv4 address: prefix, bits, first byte of the inner address.
local carriers = { { "::", 96, 13 }, { "::ffff:0:0", 96, 13 }, { "::ffff:0:0:0", 96, 13 },
  { "64:ff9b::", 96, 13 },
  { "2002::", 16, 3 } }
for _, c in ipairs(carriers) do c[1] = M.bytes(c[1]) end

local function carried(bytes, c) return { bytes[c[3]], bytes[c[3] + 1], bytes[c[3] + 2], bytes[c[3] + 3] } end

--- Whether a literal address (text or bytes) is internal: loopback, private, link-local and so on, also when
-- it is wrapped in an IPv4-mapped, -compatible, NAT64 or 6to4 address. nil when the text is no address.
function M.internal(address)
  local bytes = type(address) == "string" and M.bytes(address) or address
  if type(bytes) ~= "table" then return nil end
  for _, c in ipairs(#bytes == 16 and carriers or {}) do
    if inside(bytes, c[1], c[2]) then return M.internal(carried(bytes, c)) end
  end
  for _, block in ipairs(internal) do
    if #block[1] == #bytes and inside(bytes, block[1], block[2]) then return true end
  end
  return false
end

-- Whether any address of a block is internal.
local function block_internal(bytes, bits)
  if M.internal(bytes) then return true end
  for _, block in ipairs(internal) do
    if #block[1] == #bytes and bits < block[2] and inside(block[1], bytes, bits) then return true end
  end
  if #bytes == 16 then
    for _, c in ipairs(carriers) do
      if bits < c[2] and inside(c[1], bytes, bits) then return true end
      if bits >= c[2] and inside(bytes, c[1], c[2]) then
        if block_internal(carried(bytes, c), math.min(32, bits - (c[3] - 1) * 8)) then return true end
      end
    end
  end
  return false
end

--- A port number from its text, or nil: decimal, 1 to 65535, no sign, no leading zero, no space.
function M.port(text)
  local s = type(text) == "number" and text % 1 == 0 and ("%d"):format(text) or text
  if type(s) ~= "string" or not s:match("^[1-9]%d?%d?%d?%d?$") or tonumber(s) > 65535 then return nil end
  return tonumber(s)
end

local function parse_address(text, port)
  local address, bits = text, nil
  if text:find("/", 1, true) then
    address, bits = text:match("^([^/]+)/(%d%d?%d?)$")
    if not address then return nil, "is no CIDR block; write address/bits" end
  end
  local bytes = M.bytes(address)
  if not bytes then
    if text:match("^[%d.]+$") or bits or text:find(":", 1, true) then
      return nil, "is neither a name nor an address in its usual spelling, such as 192.0.2.7"
    end
    return nil
  end
  bits = tonumber(bits) or #bytes * 8
  if bits > #bytes * 8 then return nil, "has more bits than an address" end
  for i = 1, #bytes * 8 do
    local bit = math.floor(bytes[math.floor((i - 1) / 8) + 1] / 2 ^ (7 - (i - 1) % 8)) % 2
    if i > bits and bit == 1 then
      return nil, "has bits set behind /" .. bits .. "; write the block's first address"
    end
  end
  local whole = bits == #bytes * 8
  return { form = whole and "address" or "cidr", name = show(bytes) .. (whole and "" or "/" .. bits),
    port = port,
    internal = block_internal(bytes, bits) or nil }
end

local function check_labels(name)
  if #name > 253 then return "is longer than the 253 bytes of a name" end
  for label in (name .. "."):gmatch("([^.]*)%.") do
    if label == "" then return "has an empty part between its dots" end
    if #label > 63 then return "has a part longer than 63 bytes" end
    if label:find("*", 1, true) then return "has a * that is not the whole first part; write *.name" end
    if not label:match("^[%l%d_-]+$") then return "has a character that no name has" end
    if label:sub(1, 1) == "-" or label:sub(-1) == "-" then return "has a part that begins or ends with -" end
  end
end

local function parse_name(text, port)
  local name = text:lower():gsub("%.$", "")
  if name == "*" or name:match("^[*.]+$") then
    return nil, 'would be every name; list names, or write network = "open"'
  end
  local rest = name:match("^%*%.(.+)$")
  local wrong = check_labels(rest or name)
  if wrong then return nil, wrong end
  -- What inet_aton(3) would read as an address.
  local last = name:match("[^.]+$")
  if last:match("^%d+$") or last:match("^0x%x*$") then
    return nil, "is neither a name nor an address in its usual spelling, such as 192.0.2.7"
  end
  if rest and not rest:find(".", 1, true) and rest ~= "onion" and rest ~= "local" and rest ~= "internal"
    and rest ~= "localhost" then
    return nil, "would be every name under a top-level domain; name the domains"
  end
  if rest and suffixes[rest] then
    return nil, "would be names of anybody, because " .. rest .. " is a public suffix; name the domains"
  end
  return { form = rest and "wildcard" or "exact", name = rest and "*." .. rest or name, port = port }
end

--- { form = "exact"|"wildcard"|"address"|"cidr"|"group", name = canonical, port = number or nil, internal =
-- true or nil }, or nil and what is wrong, to be put behind the name. The word "internal" is the built-in
-- group.
function M.parse(text)
  if text == "internal" then return { form = "group", name = "internal" } end
  if text == "" then return nil, "is empty" end
  if #text > 300 then return nil, "is longer than the 253 bytes of a name" end
  if text:find("[%z\1-\31\127 ]") then return nil, "has a space or control character" end
  if text:find("%", 1, true) then return nil, "has a %; names are written out" end
  if text:find("[\128-\255]") then return nil, "has letters outside of ASCII; write the name's xn-- form" end
  if text:find("//", 1, true) or text:find("/[^%d]") then
    return nil, "is an address of a page; write only its name"
  end
  local host, port = text, nil
  local bracketed, tail = text:match("^%[([%x:.]+)%](.*)$")
  if bracketed then
    host, port = bracketed, tail:match("^:(.*)$")
    if tail ~= "" and not port or not host:find(":", 1, true) then return nil, "is no address in brackets" end
  elseif select(2, text:gsub(":", "")) == 1 then
    host, port = text:match("^(.-):(.*)$")
  end
  if port then
    local number = M.port(port)
    if not number then return nil, "has a port that is not a number from 1 to 65535" end
    port = number
  end
  local parsed, why = parse_address(host, port)
  if parsed or why then return parsed, why end
  return parse_name(host, port)
end

--- The canonical form of one plain name (as DNS, SNI or Host give it), or nil and what is wrong.
function M.canonical(text)
  local parsed, why = M.parse(text)
  if not parsed then return nil, why end
  if parsed.form ~= "exact" and parsed.form ~= "address" or parsed.port then
    return nil, "is no plain name"
  end
  return parsed.name
end

--- Whether everything that `narrow` (a parsed name) matches is matched by `wide`. Ports are the caller's.
function M.covers(wide, narrow)
  if wide.form == narrow.form and wide.name == narrow.name then return true end
  if wide.form == "wildcard" and (narrow.form == "exact" or narrow.form == "wildcard") then
    local domain = wide.name:sub(2)
    return #narrow.name > #domain and narrow.name:sub(-#domain) == domain
  end
  if wide.form == "cidr" and (narrow.form == "address" or narrow.form == "cidr") then
    local a, a_bits = wide.name:match("^(.*)/(%d+)$")
    local b, b_bits = narrow.name:match("^(.*)/(%d+)$")
    local block, bytes = M.bytes(a), M.bytes(b or narrow.name)
    return #block == #bytes and (not b_bits or tonumber(b_bits) >= tonumber(a_bits))
      and inside(bytes, block, tonumber(a_bits))
  end
  return false
end

return M
