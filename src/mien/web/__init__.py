"""``mien serve``: a page for people and a service for programs, on this machine.

:func:`mien.web.app.create_app` makes the application; it needs ``pip install 'mien[web]'``.
"""
