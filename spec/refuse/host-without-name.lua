-- expect: host-without-name.lua:2: `hosts` holds addresses by name, ["name"] = "192.0.2.7", not the text "8.8.8.8"
return policy "x" { network = { hosts = { "8.8.8.8" } } }
