-- expect: extends-no-file.lua:3: `extends`: spec/refuse/./nowhere.lua can't be read: No such file or directory
return policy "x" {
  extends = "./nowhere.lua",
}
