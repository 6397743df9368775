"""A web service that searches a gallery for the images nearest to an uploaded image.

Imports retrieval, export, metrics and data, and the packages of the extra `serve`. Begin with `app.py`.
"""
