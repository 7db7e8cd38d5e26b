"""Penstock over HTTP; see `app.create_app` for what is served."""
