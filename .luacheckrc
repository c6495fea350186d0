std = "lua54"
ignore = {"211/scope", "211/closing"} -- a <close> variable is used by being closed
max_line_length = 150
files["spec"] = {std = "+busted"}
exclude_files = {"build", "lua_modules"}
