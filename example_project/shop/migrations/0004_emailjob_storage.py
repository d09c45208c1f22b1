from django.db import migrations

from pleme_redis_django.storage import JobTableStorage


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_failures_by_time")]

    operations = [JobTableStorage("emailjob")]
