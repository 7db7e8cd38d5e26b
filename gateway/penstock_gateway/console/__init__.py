"""The console: what the API has, as pages for people.

Pages are rendered here (`rendering`, `templates/`), for whoever has logged in with a token
(`session`), and kept up to date by server-sent events (`live`). Each page is a module of its own:
what it shows is a frozen value made by a pure function, what it does goes through the same services
as the API's routes.
"""
